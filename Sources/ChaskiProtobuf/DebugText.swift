extension Message {
    public var debugDescription: String { Self.protoMessageName }
}
