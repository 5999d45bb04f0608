// What the fields of a message in an arena look like: text, bytes, repeated fields, and how to put new ones
// there. Nothing is copied on reading; each view is valid as long as its arena is not reset.
public import CProtobufC
import Glibc

/// What a field holds: `Self` is how Swift sees it, `Stored` how protobuf-c keeps it.
public protocol FieldElement {
    associatedtype Stored
    init(stored: Stored)
    var stored: Stored { get }
}

extension FieldElement where Stored == Self {
    @inlinable public init(stored: Self) { self = stored }
    @inlinable public var stored: Self { self }
}

extension Double: FieldElement {}
extension Float: FieldElement {}
extension Int32: FieldElement {}
extension Int64: FieldElement {}
extension UInt32: FieldElement {}
extension UInt64: FieldElement {}

extension Bool: FieldElement {
    @inlinable public init(stored: protobuf_c_boolean) { self = stored != 0 }
    @inlinable public var stored: protobuf_c_boolean { self ? 1 : 0 }
}

/// UTF-8 text in an arena, ended by a NUL that is not part of it.
@safe
public struct Text: FieldElement {
    public let pointer: UnsafeMutablePointer<CChar>
    public let count: Int

    @inlinable
    public init(stored pointer: UnsafeMutablePointer<CChar>?) {
        self.pointer = pointer ?? Text.emptyPointer
        count = strlen(self.pointer)
    }

    @inlinable public var stored: UnsafeMutablePointer<CChar>? { pointer }

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

    /// How many of its bytes are not ASCII.
    public var countOfNonASCII: Int {
        let bytes = UnsafeRawBufferPointer(start: pointer, count: count)
        var sum = 0
        var at = 0
        while at + 8 <= count {
            let word = bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            sum &+= (word & 0x8080_8080_8080_8080).nonzeroBitCount
            at += 8
        }
        for byte in bytes[at...] { sum &+= Int(byte >> 7) }
        return sum
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
public struct ByteView: FieldElement {
    public let stored: ProtobufCBinaryData
    @inlinable public init(stored: ProtobufCBinaryData) { self.stored = stored }

    @inlinable public var count: Int { stored.len }
    @inlinable public var isEmpty: Bool { count == 0 }

    @inlinable public var bytes: Span<UInt8> {
        @_lifetime(borrow self) get {
            let span = Span(_unsafeElements: UnsafeBufferPointer(start: stored.data, count: count))
            return _overrideLifetime(span, borrowing: self)
        }
    }
}

extension [UInt8] {
    /// A copy of the bytes.
    public init(_ view: ByteView) {
        self = Array(UnsafeBufferPointer(start: view.stored.data, count: view.count))
    }
}

/// A repeated field.
@safe
public struct Repeated<Element: FieldElement>: RandomAccessCollection {
    @usableFromInline let base: UnsafeMutablePointer<Element.Stored>?
    public let endIndex: Int
    @inlinable public var startIndex: Int { 0 }

    @inlinable
    public init(_ base: UnsafeMutablePointer<Element.Stored>?, count: Int) {
        self.base = base
        endIndex = count
    }

    @inlinable
    public subscript(position: Int) -> Element {
        precondition(position >= 0 && position < endIndex)
        return Element(stored: base![position])
    }
}

extension Arena {
    /// A copy of `string` in the arena. A NUL, which protobuf-c cannot hold, is left out.
    public func text(_ string: String) -> Text {
        var string = string
        return string.withUTF8 { text(Span(_unsafeElements: $0)) }
    }

    /// A copy of `bytes`, which must be UTF-8, in the arena. A NUL, which protobuf-c cannot hold, is left
    /// out.
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
        return Text(stored: copy)
    }

    /// A copy of `bytes` in the arena.
    public func bytes(_ bytes: Span<UInt8>) -> ByteView {
        let copy = allocate(bytes.count).assumingMemoryBound(to: UInt8.self)
        bytes.withUnsafeBufferPointer { source in
            if let start = source.baseAddress { memcpy(copy, start, source.count) }
        }
        return ByteView(stored: ProtobufCBinaryData(len: bytes.count, data: copy))
    }

    /// A C array of `elements` in the arena; nil when there are none.
    @inlinable
    public func array<Element: FieldElement>(_ elements: [Element]) -> UnsafeMutablePointer<Element.Stored>? {
        guard let array = array(of: Element.Stored.self, count: elements.count) else { return nil }
        for index in elements.indices { (array + index).initialize(to: elements[index].stored) }
        return array
    }

    /// A C array of pointers to `count` empty messages; nil when `count` is 0.
    @inlinable
    public func emptyMessages<View: MessageView>(
        _ type: View.Type, count: Int
    ) -> UnsafeMutablePointer<View.Stored>? {
        guard let array = array(of: View.Stored.self, count: count) else { return nil }
        for index in 0..<count { (array + index).initialize(to: View(in: self).raw) }
        return array
    }

    @inlinable
    func array<Stored>(of type: Stored.Type, count: Int) -> UnsafeMutablePointer<Stored>? {
        if count == 0 { return nil }
        return allocate(count * MemoryLayout<Stored>.stride).assumingMemoryBound(to: type)
    }
}
