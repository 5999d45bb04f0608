// swift-tools-version: 6.2
import PackageDescription

let pure: [SwiftSetting] = [
    .strictMemorySafety(), .treatAllWarnings(as: .error), .enableUpcomingFeature("ExistentialAny"),
]
let package = Package(
    name: "junction",
    targets: [
        .target(name: "JunctionRouting", swiftSettings: pure),
        .executableTarget(
            name: "routing-bench", dependencies: ["JunctionRouting"], path: "tools/bench/routing",
            swiftSettings: pure),
        .testTarget(name: "JunctionRoutingTests", dependencies: ["JunctionRouting"]),
    ],
    swiftLanguageModes: [.v6]
)
