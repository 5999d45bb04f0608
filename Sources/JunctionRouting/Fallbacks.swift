// Where a call goes when a model group cannot answer it.

/// A target that a call names itself, to be tried when the asked model group cannot answer.
public enum FallbackTarget: Sendable, Equatable {
    /// A model group, as `Router.modelGroup(named:)` gives it.
    case modelGroup(Int)
    /// A deployment made for this call by whoever makes the attempts, who knows it by `index`.
    ///
    /// With the caller's own key it is nobody's but the caller's: no limit of ours binds it, nothing is
    /// counted, and its failures say nothing of the configured `deployment` that it is made from.
    /// With a configured key it counts as `deployment` does; nil: one of `modelGroup` is chosen.
    case override(index: Int, deployment: Int?, modelGroup: Int, usesCallersKey: Bool)
}

/// Which fallbacks a failure leads to.
enum FallbackKind: Sendable { case general, contextWindow, contentPolicy }

/// What a call is sent to: the asked model group, or one of its fallbacks.
enum Target: Sendable, Equatable {
    /// A model group; `only`: one deployment of it, by its place, since the caller named it.
    case modelGroup(Int, only: Int?)
    /// An override with a configured key.
    case configuredOverride(index: Int, modelGroup: Int, only: Int?)
    /// An override with the caller's own key.
    case callersOverride(index: Int, modelGroup: Int, deployment: Int?)

    var modelGroup: Int {
        switch self {
        case .modelGroup(let index, _), .configuredOverride(_, let index, _),
            .callersOverride(_, let index, _):
            index
        }
    }

    var usesCallersKey: Bool {
        if case .callersOverride = self { true } else { false }
    }
}

/// The configured fallbacks of every model group, resolved to targets.
struct FallbackTable: Sendable {
    private var general: [[Target]] = []
    private var contextWindow: [[Target]] = []
    private var contentPolicy: [[Target]] = []

    /// Names that no model group bears are left out; whoever reads a configuration reports them.
    init(_ configuration: RouterConfiguration, groupNames: [String], resolve: (String) -> Target?) {
        for name in groupNames {
            func targets(in table: [String: [String]], otherwise: [String] = []) -> [Target] {
                (table[name] ?? table["*"] ?? otherwise).compactMap(resolve)
            }
            general.append(targets(in: configuration.fallbacks, otherwise: configuration.defaultFallbacks))
            contextWindow.append(targets(in: configuration.contextWindowFallbacks))
            contentPolicy.append(targets(in: configuration.contentPolicyFallbacks))
        }
    }

    func targets(of modelGroup: Int, _ kind: FallbackKind) -> [Target] {
        switch kind {
        case .general: general[modelGroup]
        case .contextWindow: contextWindow[modelGroup]
        case .contentPolicy: contentPolicy[modelGroup]
        }
    }
}
