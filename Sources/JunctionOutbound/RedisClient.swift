// The door to Redis: one pipelined connection a loop. Knows no key and no script of ours.
import JunctionTransport

/// A client of one Redis, its sentinels or its cluster. Confined to its loop.
public final class RedisClient {
    public enum State: Sendable, Equatable {
        /// A connection is being made for the first time, or anew: commands wait for it.
        case connecting
        case ready
        /// The last attempt failed, the next one comes by itself. Commands fail at once.
        case unavailable(RedisFailure)
        case closed
    }

    public typealias Completion = (Result<RedisValue, RedisFailure>) -> Void

    public private(set) var state = State.connecting
    /// Called after each change of `state`.
    public var onStateChange: ((State) -> Void)?

    /// Begins to connect at once, and connects again by itself whenever that fails or ends.
    ///
    /// - Parameter jitter: a random number from 0 to 1, for the times between attempts.
    public init(loop: EventLoop, options: RedisOptions, jitter: @escaping () -> Double) {}

    /// Sends a command with the others of this turn of the loop. `completion` runs once, never before `send`
    /// returns. What the server refuses is a value, `.error`.
    public func send(_ arguments: [RedisArgument], completion: Completion? = nil) {
        send(completion: completion) { command in for argument in arguments { command.append(argument) } }
    }

    /// The same, for many commands: `write` appends the arguments to memory that is used again.
    public func send(completion: Completion? = nil, _ write: (inout RedisCommand) -> Void) {
        completion?(.failure(RedisFailure(.unavailable, "not built yet")))
    }

    /// Runs a script, by EVALSHA; one that the server does not know is loaded first.
    public func evaluate(
        _ script: RedisScript, keys: [String], arguments: [RedisArgument], completion: Completion? = nil
    ) {
        evaluate(script, keyCount: keys.count, completion: completion) { command in
            for key in keys { command.append(key: key) }
            for argument in arguments { command.append(argument) }
        }
    }

    /// The same, for many calls: `write` appends `keyCount` keys and then the arguments.
    public func evaluate(
        _ script: RedisScript, keyCount: Int, completion: Completion? = nil,
        _ write: (inout RedisCommand) -> Void
    ) {
        completion?(.failure(RedisFailure(.unavailable, "not built yet")))
    }

    /// Closes the connection; commands under way fail. Once done, nothing is sent any more.
    public func close() {}
}
