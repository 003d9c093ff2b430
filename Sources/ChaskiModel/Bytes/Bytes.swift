/// An immutable run of bytes, shared by reference: slicing copies nothing.
public typealias Bytes = ArraySlice<UInt8>
