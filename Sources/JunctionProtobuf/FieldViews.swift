// What the fields of a message in an arena look like: text, bytes, and the three kinds of repeated field.
// Nothing is copied; each is valid as long as its arena is not reset.
public import CProtobufC
import Glibc

/// UTF-8 text in an arena, ended by a NUL that is not part of it.
@safe
public struct Text {
    public let pointer: UnsafeMutablePointer<CChar>
    public let count: Int

    @inlinable
    public init(_ pointer: UnsafeMutablePointer<CChar>?) {
        self.pointer = pointer ?? Text.emptyPointer
        count = strlen(self.pointer)
    }

    @usableFromInline static var emptyPointer: UnsafeMutablePointer<CChar> {
        UnsafeMutableRawPointer(mutating: StaticString("").utf8Start).assumingMemoryBound(to: CChar.self)
    }

    @inlinable public var isEmpty: Bool { count == 0 }

    /// The text's bytes, without the NUL.
    @inlinable public var bytes: Span<UInt8> {
        @_lifetime(borrow self) get {
            let start = UnsafeRawPointer(pointer).assumingMemoryBound(to: UInt8.self)
            return _overrideLifetime(Span(_unsafeStart: start, count: count), borrowing: self)
        }
    }

    @inlinable public static func == (text: Text, literal: StaticString) -> Bool {
        text.count == literal.utf8CodeUnitCount && memcmp(text.pointer, literal.utf8Start, text.count) == 0
    }
}

extension Text: CustomStringConvertible {
    public var description: String { String(self) }
}

extension String {
    /// A copy of the text.
    public init(_ text: Text) {
        self = String(decoding: UnsafeRawBufferPointer(start: text.pointer, count: text.count), as: UTF8.self)
    }
}

/// The value of a bytes field.
@safe
public struct ByteView {
    let pointer: UnsafePointer<UInt8>?
    public let count: Int
    public var isEmpty: Bool { count == 0 }

    public init(_ data: ProtobufCBinaryData) {
        pointer = UnsafePointer(data.data)
        count = data.len
    }

    public var raw: ProtobufCBinaryData {
        ProtobufCBinaryData(len: count, data: UnsafeMutablePointer(mutating: pointer))
    }

    public var bytes: Span<UInt8> {
        @_lifetime(borrow self) get {
            let span = Span(_unsafeElements: UnsafeBufferPointer(start: pointer, count: count))
            return _overrideLifetime(span, borrowing: self)
        }
    }
}

extension [UInt8] {
    /// A copy of the bytes.
    public init(_ view: ByteView) { self = Array(UnsafeBufferPointer(start: view.pointer, count: view.count)) }
}

extension Arena {
    /// A copy of `string` in the arena. A NUL, which protobuf-c cannot hold, is left out.
    public func text(_ string: String) -> Text {
        var string = string
        return string.withUTF8 { text(Span(_unsafeElements: $0)) }
    }

    /// A copy of `bytes`, which must be UTF-8, in the arena. A NUL, which protobuf-c cannot hold, is left out.
    public func text(_ bytes: Span<UInt8>) -> Text {
        let copy = allocate(bytes.count + 1).assumingMemoryBound(to: CChar.self)
        var count = 0
        bytes.withUnsafeBufferPointer { source in
            guard let start = source.baseAddress else { return }
            memcpy(copy, start, source.count)
            count = source.count
            if memchr(start, 0, source.count) != nil {
                count = 0
                for byte in source where byte != 0 {
                    copy[count] = CChar(bitPattern: byte)
                    count += 1
                }
            }
        }
        copy[count] = 0
        return Text(copy)
    }

    /// A copy of `bytes` in the arena.
    public func bytes(_ bytes: Span<UInt8>) -> ByteView {
        let copy = allocate(bytes.count).assumingMemoryBound(to: UInt8.self)
        bytes.withUnsafeBufferPointer { source in
            if let start = source.baseAddress { memcpy(copy, start, source.count) }
        }
        return ByteView(ProtobufCBinaryData(len: bytes.count, data: copy))
    }
}

/// A repeated message field.
@safe
public struct RepeatedView<Element: MessageView>: RandomAccessCollection {
    private let base: UnsafeMutablePointer<UnsafeMutablePointer<Element.Raw>?>?
    public let endIndex: Int
    public var startIndex: Int { 0 }

    public init(_ base: UnsafeMutablePointer<UnsafeMutablePointer<Element.Raw>?>?, count: Int) {
        self.base = base
        endIndex = count
    }

    public subscript(position: Int) -> Element {
        precondition(position >= 0 && position < endIndex)
        return Element(raw: base![position]!)
    }
}

/// A repeated string field.
@safe
public struct RepeatedText: RandomAccessCollection {
    private let base: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    public let endIndex: Int
    public var startIndex: Int { 0 }

    public init(_ base: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, count: Int) {
        self.base = base
        endIndex = count
    }

    public subscript(position: Int) -> Text {
        precondition(position >= 0 && position < endIndex)
        return Text(base![position])
    }
}

/// A repeated bytes field.
@safe
public struct RepeatedBytes: RandomAccessCollection {
    private let base: UnsafeMutablePointer<ProtobufCBinaryData>?
    public let endIndex: Int
    public var startIndex: Int { 0 }

    public init(_ base: UnsafeMutablePointer<ProtobufCBinaryData>?, count: Int) {
        self.base = base
        endIndex = count
    }

    public subscript(position: Int) -> ByteView {
        precondition(position >= 0 && position < endIndex)
        return ByteView(base![position])
    }
}

/// A repeated field of numbers, booleans or enums, as protobuf-c holds them.
@safe
public struct RepeatedScalar<Element>: RandomAccessCollection {
    private let base: UnsafeMutablePointer<Element>?
    public let endIndex: Int
    public var startIndex: Int { 0 }

    public init(_ base: UnsafeMutablePointer<Element>?, count: Int) {
        self.base = base
        endIndex = count
    }

    public subscript(position: Int) -> Element {
        precondition(position >= 0 && position < endIndex)
        return base![position]
    }
}

extension Arena {
    /// A C array of `values` in the arena; nil when there are none.
    public func array<Element: BitwiseCopyable>(_ values: [Element]) -> UnsafeMutablePointer<Element>? {
        if values.isEmpty { return nil }
        let copy = allocate(values.count * MemoryLayout<Element>.stride).assumingMemoryBound(to: Element.self)
        for (index, value) in values.enumerated() { (copy + index).initialize(to: value) }
        return copy
    }

    /// A C array of pointers to `values`; nil when there are none.
    public func array<Element>(
        _ values: [UnsafeMutablePointer<Element>]
    ) -> UnsafeMutablePointer<UnsafeMutablePointer<Element>?>? {
        if values.isEmpty { return nil }
        let copy = allocate(values.count * MemoryLayout<UnsafeRawPointer>.stride)
            .assumingMemoryBound(to: UnsafeMutablePointer<Element>?.self)
        for (index, value) in values.enumerated() { (copy + index).initialize(to: value) }
        return copy
    }

    /// A C array of pointers to `count` empty messages; nil when `count` is 0.
    public func emptyMessages<View: MessageView>(
        _ type: View.Type, count: Int
    ) -> UnsafeMutablePointer<UnsafeMutablePointer<View.Raw>?>? {
        if count == 0 { return nil }
        let array = allocate(count * MemoryLayout<UnsafeRawPointer>.stride)
            .assumingMemoryBound(to: UnsafeMutablePointer<View.Raw>?.self)
        for index in 0..<count { (array + index).initialize(to: View(in: self).raw) }
        return array
    }
}
