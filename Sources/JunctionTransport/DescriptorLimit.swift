// How many descriptors the process may have open: a shell's usual 1,024 would end at so many connections.
import Glibc

/// Raises the process' limit of open descriptors (RLIMIT_NOFILE) as far as it may.
public func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max
    else {
        return
    }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}
