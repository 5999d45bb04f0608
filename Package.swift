// swift-tools-version: 6.2
// The modules of Junction and who may import whom: each target lists only targets above it.
import PackageDescription

let common: [SwiftSetting] = [.treatAllWarnings(as: .error), .enableUpcomingFeature("ExistentialAny")]
/// Modules that need no C: an unsafe expression there does not compile.
let pure = common + [.strictMemorySafety()]
/// Thin wrappers over C and the generated code.
let wrapper = common + [.enableExperimentalFeature("Lifetimes")]
/// Swift's libraries as part of the program, nothing of it for others to link to, relocations in their short form:
/// shared libraries have the loader touch 5 MB more than is used.
let selfContained = [
    "-static-stdlib", "-use-ld=lld", "-Xlinker", "--no-export-dynamic", "-Xlinker", "-z", "-Xlinker",
    "pack-relative-relocs",
]
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "junction",
    products: [
        .executable(name: "junction", targets: ["junction"]),
        .executable(name: "junctiond", targets: ["junctiond"]),
        .library(name: "JunctionClient", targets: ["JunctionClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // What runs when Junction serves or is called, lowest first.
        .systemLibrary(name: "CLibraries", path: "Sources/CLibraries/System"),
        .target(name: "CJunctionMessages", dependencies: ["CLibraries"], path: "Sources/CLibraries/Messages"),
        .target(
            name: "CJSON", path: "Sources/CLibraries/JSON", linkerSettings: [.linkedLibrary("simdjson")]),
        .target(name: "JunctionRouting", swiftSettings: pure),
        .target(name: "JunctionProtobuf", dependencies: ["CLibraries"], swiftSettings: wrapper),
        .target(name: "JunctionTransport", dependencies: ["CLibraries"], swiftSettings: wrapper),
        .target(
            name: "JunctionMessages", dependencies: ["CLibraries", "CJunctionMessages", "JunctionProtobuf"],
            swiftSettings: wrapper),
        .target(
            name: "JunctionOutbound", dependencies: ["CLibraries", "JunctionTransport"],
            swiftSettings: wrapper),
        .target(
            name: "JunctionRPC", dependencies: ["CLibraries", "JunctionProtobuf", "JunctionTransport"],
            swiftSettings: wrapper),
        .target(
            name: "JunctionProviders",
            dependencies: [
                "CJSON", "CLibraries", "CJunctionMessages", "JunctionMessages", "JunctionProtobuf",
                "JunctionRouting",
            ],
            swiftSettings: wrapper),
        .target(name: "JunctionYAML", dependencies: ["CLibraries"], swiftSettings: wrapper),
        .target(
            name: "JunctionConfig", dependencies: ["JunctionProviders", "JunctionRouting", "JunctionYAML"],
            swiftSettings: pure),
        .target(
            name: "JunctionClient",
            dependencies: ["JunctionMessages", "JunctionProtobuf", "JunctionRPC", "JunctionTransport"],
            swiftSettings: pure),
        .target(
            name: "JunctionService",
            dependencies: [
                "JunctionConfig", "JunctionMessages", "JunctionOutbound", "JunctionProtobuf",
                "JunctionProviders",
                "JunctionRouting", "JunctionRPC", "JunctionTransport",
            ], swiftSettings: pure),
        .target(name: "JunctionReport", path: "tools/report", swiftSettings: pure),
        .target(
            name: "JunctionSimulation",
            dependencies: ["JunctionConfig", "JunctionReport", "JunctionRouting", "JunctionYAML"],
            path: "tools/simulate",
            exclude: ["litellm.md", "litellm_router.py", "scenario_template.yaml", "strategies.md"],
            swiftSettings: pure),
        .target(
            name: "JunctionLoad",
            dependencies: [
                "JunctionMessages", "JunctionProtobuf", "JunctionReport", "JunctionRPC", "JunctionRouting",
                "JunctionTransport", "JunctionYAML", histogram,
            ], path: "tools/load", swiftSettings: pure),
        .executableTarget(
            name: "junctiond", dependencies: ["JunctionService", "JunctionTransport"], swiftSettings: pure,
            linkerSettings: [.unsafeFlags(selfContained, .when(configuration: .release))]),
        .executableTarget(
            name: "junction",
            dependencies: [
                "junctiond", "JunctionClient", "JunctionConfig", "JunctionLoad", "JunctionMessages",
                "JunctionReport",
                "JunctionRouting", "JunctionRPC", "JunctionService", "JunctionSimulation",
                "JunctionTransport", argumentParser,
            ], swiftSettings: pure),

        // What measures it.
        .target(name: "AllocationCount", path: "tools/bench/routing/AllocationCount"),
        .executableTarget(
            name: "routing-bench", dependencies: ["AllocationCount", "JunctionRouting"],
            path: "tools/bench/routing", exclude: ["AllocationCount"], swiftSettings: pure),
        .executableTarget(
            name: "redis-bench", dependencies: ["JunctionOutbound", "JunctionTransport"],
            path: "tools/bench/redis", swiftSettings: common),
        .executableTarget(
            name: "translation-bench",
            dependencies: ["JunctionMessages", "JunctionProtobuf", "JunctionProviders"],
            path: "tools/bench/translation", swiftSettings: common),

        // What tests it.
        .target(name: "CShelf", dependencies: ["CLibraries"], path: "Tests/Support/Shelf/C"),
        .target(
            name: "Shelf", dependencies: ["CLibraries", "CShelf", "JunctionProtobuf"],
            path: "Tests/Support/Shelf/Messages", swiftSettings: wrapper),
        .testTarget(name: "JunctionRoutingTests", dependencies: ["JunctionRouting"], swiftSettings: common),
        .testTarget(
            name: "JunctionProtobufTests", dependencies: ["JunctionProtobuf", "JunctionMessages", "Shelf"],
            swiftSettings: common),
        .testTarget(
            name: "JunctionTransportTests", dependencies: ["JunctionTransport"], swiftSettings: common),
        .testTarget(
            name: "JunctionOutboundTests", dependencies: ["JunctionOutbound", "JunctionTransport"],
            swiftSettings: common),
        .testTarget(
            name: "JunctionRPCTests",
            dependencies: [
                "JunctionClient", "JunctionMessages", "JunctionProtobuf", "JunctionRPC", "JunctionTransport",
            ], swiftSettings: common),
        .testTarget(
            name: "GeneratedStubsTests",
            dependencies: ["JunctionProtobuf", "JunctionRPC", "JunctionTransport", "Shelf"],
            swiftSettings: common),
        .testTarget(
            name: "JunctionProvidersTests",
            dependencies: ["JunctionProviders", "JunctionMessages", "JunctionProtobuf", "JunctionRouting"],
            exclude: ["Goldens"], swiftSettings: common),
        .testTarget(
            name: "JunctionConfigTests",
            dependencies: ["JunctionConfig", "JunctionProviders", "JunctionRouting", "JunctionYAML"],
            exclude: ["Goldens"], swiftSettings: common),
        .testTarget(
            name: "JunctionServiceTests",
            dependencies: [
                "JunctionConfig", "JunctionMessages", "JunctionOutbound", "JunctionProtobuf",
                "JunctionProviders",
                "JunctionRouting", "JunctionRPC", "JunctionService", "JunctionTransport",
            ], swiftSettings: common),
        .testTarget(
            name: "JunctionSimulationTests",
            dependencies: ["JunctionConfig", "JunctionRouting", "JunctionSimulation"], swiftSettings: common),
        .testTarget(name: "JunctionReportTests", dependencies: ["JunctionReport"], swiftSettings: common),
        .testTarget(
            name: "JunctionLoadTests", dependencies: ["JunctionLoad", "JunctionRPC"], swiftSettings: common),
        .testTarget(name: "TidyTests", swiftSettings: common),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
