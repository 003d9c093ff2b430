import Foundation
import Testing

/// The README's map and the folders say the same.
@Suite struct MapTests {
    @Test func everySourceFolderIsOnTheMap() throws {
        let readme = try SourceTree.text(of: "README.md")
        for folder in try SourceTree.folders(in: "Sources") {
            #expect(readme.contains("`\(folder)`"), "README.md does not tell what \(folder) is")
        }
    }

    @Test func theTopLevelIsTheAgreedOne() throws {
        let allowed: Set = ["Sources", "Protos", "Tests", "tools"]
        for folder in try SourceTree.folders(in: ".") where !folder.hasPrefix(".") {
            #expect(
                allowed.contains(folder) || folder == "chaski-data", "unexpected folder \(folder)")
        }
    }

    @Test func namesHaveNoSpaces() throws {
        for folder in ["Sources", "Tests"] {
            for file in try SourceTree.swiftFiles(under: folder) {
                #expect(!file.path.contains(" "))
            }
        }
    }
}
