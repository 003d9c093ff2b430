// Whoever uses the messages uses the runtime's members on them too.
@_exported public import ChaskiProtobuf
