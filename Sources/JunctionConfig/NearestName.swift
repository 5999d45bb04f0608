// Finds the known name a person most likely meant when a name is unknown. Knows no section and no schema.

/// The candidate with the smallest edit distance to `key` (insertion, deletion, replacement and swap of
/// neighbours cost 1 each), or nil when none is near enough to be a slip of the hand. Ties go to the
/// candidate that stands first.
package func nearestName(to key: String, among candidates: [String]) -> String? {
    let typed = Array(key.lowercased().unicodeScalars)
    let farthest = max(1, typed.count / 3)
    var best: (name: String, distance: Int)?
    for name in candidates {
        let known = Array(name.lowercased().unicodeScalars)
        if abs(known.count - typed.count) > farthest { continue }
        let distance = editDistance(typed, known)
        if distance <= farthest, distance < best?.distance ?? Int.max { best = (name, distance) }
    }
    return best?.name
}

private func editDistance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
    var rows = Array(repeating: Array(repeating: 0, count: b.count + 1), count: a.count + 1)
    for i in 0...a.count { rows[i][0] = i }
    for j in 0...b.count { rows[0][j] = j }
    for i in a.indices {
        for j in b.indices {
            let replaced = rows[i][j] + (a[i] == b[j] ? 0 : 1)
            var least = min(replaced, rows[i][j + 1] + 1, rows[i + 1][j] + 1)
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, rows[i - 1][j - 1] + 1) }
            rows[i + 1][j + 1] = least
        }
    }
    return rows[a.count][b.count]
}
