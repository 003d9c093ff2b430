import Testing

@testable import ChaskiCodeGen

@Suite struct NamingTests {
    @Test(arguments: [
        ("name", "name"), ("session_id", "sessionID"), ("id", "id"), ("url", "url"),
        ("base_url_path", "baseURLPath"), ("HTTPPort", "httpport"), ("fooBar", "fooBar"),
        ("foo__bar", "fooBar"), ("foo1_bar2", "foo1Bar2"), ("_under", "_under"),
        ("MAX_VALUE", "maxValue"), ("_1", "__1"), ("https_only", "httpsOnly"),
    ])
    func lowerCamel(_ name: String, _ expected: String) {
        #expect(Naming.lowerCamel(name) == expected)
    }

    @Test(
        arguments: [
            ("chaski.v1", nil, "Chaski_V1_"), ("", nil, ""), ("foo_bar.baz", nil, "FooBar_Baz_"),
            ("a.b", "XY", "XY"), ("a.b", "", ""),
        ] as [(String, String?, String)])
    func typePrefix(_ package: String, _ swiftPrefix: String?, _ expected: String) {
        #expect(Naming.typePrefix(package: package, swiftPrefix: swiftPrefix) == expected)
    }

    @Test func casePrefix() {
        let drop = { Naming.casePrefix(ofEnum: $0, values: $1) }
        #expect(drop("SettleVerb", ["SETTLE_VERB_ACK", "SETTLE_VERB_FAIL"]) == 12)
        #expect(drop("Kind", ["KIND_A", "OTHER"]) == 0)
        #expect(drop("Kind", ["KIND_1", "KIND_2"]) == 0)
        #expect(drop("Kind", ["KIND"]) == 0)
        #expect(drop("Kind", ["KindA", "KindB"]) == 4)
    }

    @Test func swiftWordsAreQuotedOrChanged() {
        #expect(Naming.quoted("class") == "`class`")
        #expect(Naming.quoted("message") == "message")
        #expect(Naming.property("unknown_fields") == "unknownFields_p")
        #expect(Naming.property("hash_value") == "hashValue_p")
        #expect(Naming.type("Type", isEnum: false) == "TypeMessage")
        #expect(Naming.type("String", isEnum: true) == "StringEnum")
        #expect(Naming.type("Foo", isEnum: true) == "Foo")
        #expect(Naming.enumCase("UNRECOGNIZED") == "unrecognized")
        #expect(Naming.enumCase("none") == "none_")
    }

    /// Names that protoc-gen-c would map to one C name get different ones.
    @Test func loweredNamesStayApart() {
        let names = [
            "MN", "M_N", "Mn", "M__N", "mn", "m_n", "HTTPServer", "HTTPserver", "HttpServer",
        ]
        let structs = names.map { Naming.cStruct(Naming.loweredMessage($0, fullName: $0)) }
        let functions = names.map { Naming.cFunction(Naming.loweredMessage($0, fullName: $0)) }
        #expect(Set(structs).count == names.count)
        #expect(Set(functions).count == names.count)
        #expect(Naming.loweredMessage("HttpServer", fullName: "x") == "HttpServer")
    }

    @Test func loweredPackages() {
        #expect(Naming.loweredPackage("chaski.v1", prefix: "ck") == "ck.chaski.v1")
        let odd = ["foo_bar", "fooBar", "foobar", "FooBar"].map {
            Naming.loweredPackage($0, prefix: "ck")
        }
        #expect(Set(odd).count == 4)
        #expect(Naming.cStruct("ck.chaski.v1.Open") == "Ck__Chaski__V1__Open")
        #expect(Naming.cFunction("ck.chaski.v1.GoAway") == "ck__chaski__v1__go_away")
    }

    @Test func defaults() {
        #expect(DefaultValue.literal("a\"b\\c\n\u{1}é") == #""a\"b\\c\n\u{1}\u{e9}""#)
        #expect(DefaultValue.unescaped(Array(#"\000\377x\n\\"#.utf8)) == [0, 255, 120, 10, 92])
        #expect(DefaultValue.expression("-inf", .double) == "-.infinity")
    }
}
