import ChaskiMessages

/// The protoc plugin: bytes of a `CodeGeneratorRequest` in, bytes of the response out.
///
/// `GenerateCommand` is the other way to it; `GeneratorOptions` lists the settings.
package struct Plugin {
    /// What protoc-gen-c answers to a serialised request.
    package typealias CGenerator = ([UInt8]) throws(GeneratorError) -> [UInt8]

    /// `FEATURE_PROTO3_OPTIONAL`.
    private static let features: UInt64 = 1

    private let runC: CGenerator

    /// - Parameter runC: runs protoc-gen-c.
    package init(runC: @escaping CGenerator) {
        self.runC = runC
    }

    /// Answers a request; what is wrong with it is said in the response.
    package func respond(to request: [UInt8]) throws -> [UInt8] {
        var response = Google_Protobuf_Compiler_CodeGeneratorResponse()
        response.supportedFeatures = Self.features
        do {
            let request = try Google_Protobuf_Compiler_CodeGeneratorRequest(
                serializedBytes: request)
            response.file = try generate(
                request.protoFile, names: request.fileToGenerate,
                try GeneratorOptions(parsing: request.parameter), isWholeModule: false)
        } catch let error as GeneratorError {
            response.error = error.description
        } catch {
            response.error = "\(error)"
        }
        return try response.serializedBytes()
    }

    /// What `GenerateCommand` writes: the files of `descriptorSet`, which `protoc` made with all
    /// that they import, for those called `names`. Paths are as `options` has its folders.
    package func generate(
        descriptorSet: [UInt8], names: [String], options: GeneratorOptions
    ) throws(GeneratorError) -> [GeneratedFile] {
        let set: Google_Protobuf_FileDescriptorSet
        do {
            set = try Google_Protobuf_FileDescriptorSet(serializedBytes: descriptorSet)
        } catch {
            throw GeneratorError("what protoc made of the files cannot be read: \(error)")
        }
        let files = try generate(set.file, names: names, options, isWholeModule: true)
            .map { GeneratedFile(path: $0.name, content: $0.content) }
        var paths: Set<String> = []
        for file in files where !paths.insert(file.path).inserted {
            throw GeneratorError("two .proto files would both become '\(file.path)'")
        }
        return files
    }

    private typealias OutputFile = Google_Protobuf_Compiler_CodeGeneratorResponse.File

    private func generate(
        _ protos: [Google_Protobuf_FileDescriptorProto], names: [String],
        _ options: GeneratorOptions, isWholeModule: Bool
    ) throws(GeneratorError) -> [OutputFile] {
        let files = try ModelBuilder.build(protos, options: options)
        let wanted = Set(names)
        let chosen = files.filter { wanted.contains($0.name) }
        guard chosen.count == wanted.count else {
            throw GeneratorError("the request does not hold all files to generate")
        }
        if let clash = TypeNames.clash(chosen) { throw clash }
        let services = chosen.flatMap(\.services).map(\.fullName)
        for name in options.serviceNames where !services.contains(name) {
            throw GeneratorError("Service '\(name)' is in none of the files to generate")
        }
        let generators = chosen.map {
            FileGenerator(file: $0, options: options, generated: wanted)
        }
        // protoc may be run for each file of a module, so that others are none of its business.
        if isWholeModule {
            for generator in generators { try generator.checkModules() }
        }
        var output: [OutputFile] = []
        if options.output != .swift {
            output += try generateC(chosen, files, options)
        }
        if options.output != .c {
            for generator in generators {
                output.append(
                    OutputFile.with {
                        $0.name = generator.path
                        $0.content = generator.content()
                    })
            }
        }
        return output
    }

    // MARK: C

    private func generateC(
        _ chosen: [FileModel], _ all: [FileModel], _ options: GeneratorOptions
    ) throws(GeneratorError) -> [OutputFile] {
        var request = Google_Protobuf_Compiler_CodeGeneratorRequest()
        request.fileToGenerate = chosen.map(\.loweredName)
        for file in all {
            request.protoFile.append(
                try Lowering.lowered(file))
        }
        let response: Google_Protobuf_Compiler_CodeGeneratorResponse
        do {
            let answer = try runC(try request.serializedBytes())
            response = try Google_Protobuf_Compiler_CodeGeneratorResponse(serializedBytes: answer)
        } catch let error as GeneratorError {
            throw error
        } catch {
            throw GeneratorError("protoc-gen-c: \(error)")
        }
        guard !response.hasError else {
            throw GeneratorError("protoc-gen-c: \(response.error)")
        }
        var output = response.file.map { file in
            OutputFile.with {
                let isHeader = file.name.hasSuffix(".h")
                $0.name = FileGenerator.join(
                    options.cDirectory, isHeader ? "include/" + file.name : file.name)
                $0.content = file.content
            }
        }
        precondition(output.count == response.file.count, "a file of protoc-gen-c was lost")
        let headers = response.file.map(\.name).filter { $0.hasSuffix(".h") }.sorted()
        output += moduleFiles(headers, options)
        return output
    }

    /// The umbrella header and the module map.
    private func moduleFiles(_ headers: [String], _ options: GeneratorOptions) -> [OutputFile] {
        let mark = "// \(GeneratedFile.mark). Do not edit.\n"
        let umbrella = mark + headers.map { "#include \"\($0)\"\n" }.joined()
        let map = """
            \(mark)module \(options.cModule) {
                header "\(options.cModule).h"
                export *
            }

            """
        return [("\(options.cModule).h", umbrella), ("module.modulemap", map)].map { name, text in
            OutputFile.with {
                $0.name = FileGenerator.join(options.cDirectory, "include/" + name)
                $0.content = text
            }
        }
    }
}
