// What this process takes of the machine, as the system counts it.
import Glibc

/// Memory, time and files of this process at one moment.
public struct ProcessUsage: Sendable {
    public var residentBytes: Int
    /// Of all its threads, in user and kernel mode.
    public var cpuSeconds: Double
    public var openFiles: Int

    /// Reads three files that are no more than memory of the kernel.
    public init() {
        let words = ((try? readFile("/proc/self/statm")) ?? []).split(separator: UInt8(ascii: " "))
        let pages = words.count > 1 ? Int(String(decoding: words[1], as: UTF8.self)) ?? 0 : 0
        residentBytes = pages * sysconf(Int32(_SC_PAGESIZE))
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        cpuSeconds = [usage.ru_utime, usage.ru_stime].reduce(0) { sum, time in
            sum + Double(time.tv_sec) + Double(time.tv_usec) / 1e6
        }
        openFiles = 0
        guard let folder = opendir("/proc/self/fd") else { return }
        while let entry = readdir(folder) {
            // All but "." and ".." and the folder's own.
            if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { openFiles += 1 }
        }
        openFiles -= 1
        closedir(folder)
    }
}
