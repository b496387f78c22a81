#include "io/json.h"

#include <cmath>
#include <limits>

#include "io/json_text.h"
#include "io/utf8.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

std::string refusal(std::string_view text) {
  return message_of<InputError>([&] { parse_json(text, "x.json"); });
}
std::string again(std::string_view text) { return parse_json(text, "x.json").dump(); }
std::string nested(int depth) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += i % 2 ? "{\"a\":" : "[";
  text += "1";
  for (int i = depth; i-- > 0;) text += i % 2 ? "}" : "]";
  return text;
}

}  // namespace

TEST_CASE("json keeps kinds and order apart") {
  CHECK(again(R"( {"b": [1, -1, 3.7, true, null, "x"], "a": {}, "c": []} )") ==
        R"({"b": [1, -1, 3.7, true, null, "x"], "a": {}, "c": []})");
  Json json = parse_json("[-1, 3.7, true, 8, 8.0, 1e2, 9223372036854775807, -9223372036854775808]", "x");
  const auto& items = std::get<Json::Array>(json.value());
  CHECK(std::get<std::int64_t>(items[0].value()) == -1);
  CHECK(std::get<double>(items[1].value()) == 3.7);
  CHECK(std::get<bool>(items[2].value()));
  CHECK(std::get<std::int64_t>(items[3].value()) == 8);
  CHECK(std::get<double>(items[4].value()) == 8.0);
  CHECK(std::get<double>(items[5].value()) == 100.0);
  CHECK(std::get<std::int64_t>(items[6].value()) == std::numeric_limits<std::int64_t>::max());
  CHECK(std::get<std::int64_t>(items[7].value()) == std::numeric_limits<std::int64_t>::min());
  CHECK(std::get<double>(parse_json("9223372036854775808.0", "x").value()) == 0x1p63);
  CHECK(std::holds_alternative<double>(parse_json("-0", "x").value()));
  CHECK(again("\xef\xbb\xbf[1]") == "[1]");  // byte order mark
  CHECK(again("\"\\ud83d\\ude00 \xc3\xa9\"") == "\"\\ud83d\\ude00 \\u00e9\"");
}

TEST_CASE("json refuses what is no JSON, with the byte") {
  CHECK(contains(refusal("{\"a\": 1} x"), "x.json: byte 10: expected end of input, found invalid literal at "));
  CHECK(contains(refusal("[1,]"), "x.json: byte 4: expected"));
  CHECK(contains(refusal("{\"a\":1"), "found unexpected end of input"));
  CHECK(refusal("") == "x.json: byte 1: expected JSON, found the end");
  CHECK(refusal(" \n ") == "x.json: byte 4: expected JSON, found the end");
  CHECK(refusal(std::string("{}\0", 3)) == "x.json: byte 3: expected JSON, found a NUL byte");
  for (const char* text :
       {"{} {}",  "[1] // no", "'a'",     "[01]",        "[+1]",         "[.5]",         "[1.]",      "[-NaN]",
        "[NaNs]", "[nan]",     "{NaN:1}", "[+Infinity]", "[True]",       "{a:1}",        "{\"a\" 1}", "{1:2}",
        "\"\t\"", "\"\\x\"",   "[1",      "\"a",         "\xef\xbb\xbf", "[\"\\ud800\"]"})
    CHECK_MESSAGE(refusal(text).starts_with("x.json: byte "), text);
  // Invalid UTF-8: a lone byte, an overlong slash, a surrogate, above U+10FFFF, cut off; and outside strings.
  for (const char* text :
       {"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "[\xc3\xa9]"})
    CHECK_MESSAGE(refusal(text).starts_with("x.json: byte "), text);
}

TEST_CASE("json refuses what a lenient reader would guess at") {
  CHECK(refusal(R"({"a": {"b": 1, "c": 2, "b": 3}})") == "x.json: a.b: expected every key once, found this one twice");
  CHECK(refusal(R"([0, {"": 1, "": 1}])") == "x.json: [1].: expected every key once, found this one twice");
}

TEST_CASE("json keeps a number that it cannot hold until somebody asks for it") {
  std::string text =
      "{\"a\": [NaN, -Infinity, 1, Infinity], \"NaN \\\" Infinity\": 9223372036854775808, \"b\": -9223372036854775809, "
      "\"c\": 1e999, \"d\": -1e999, \"e\": 123456789012345678901234567890, \"f\": 2.5}";
  CHECK(again(text) == text);
  Json json = parse_json(text, "x.json");
  JsonRef ref(json, "x.json");
  auto message = [&](const auto& use) { return message_of<InputError>([&] { use(ref); }); };
  CHECK(ref.at("f").number(0, 3) == 2.5);
  CHECK(ref.at("a")[2].integer(0, 3) == 1);
  CHECK(message([](auto& r) { r.at("a")[0].number(0, 1); }) ==
        "x.json: a[0]: expected a finite number in [0, 1], found NaN");
  CHECK(message([](auto& r) { r.at("a")[1].string(); }) == "x.json: a[1]: expected a string, found -Infinity");
  CHECK(contains(message([](auto& r) { r.at("b").integer(-5, 5); }), "found -9223372036854775809"));
  CHECK(contains(message([](auto& r) { r.at("c").number(0, HUGE_VAL); }), "found 1e999"));
  CHECK(contains(message([](auto& r) { r.at("e").number(0, HUGE_VAL); }), "found 123456789012345678901234567890"));
  CHECK(again("1e-999") == "0.0");
  CHECK(again("NaN") == "NaN");
  // Where nothing but JSON is meant.
  for (const char* strict : {"[NaN]", "[1, -Infinity]", "[1e999]"})
    CHECK_THROWS_AS(parse_json(strict, "x.json", JsonNumbers::strict), InputError);
}

TEST_CASE("json depth") {
  CHECK(again(nested(64)).size() > 64);
  CHECK(contains(refusal(nested(65)), "expected at most 64 nested lists and objects, found more"));
  CHECK(contains(refusal(std::string(1'000'000, '[')), "expected at most 64"));
}

TEST_CASE("json values from numbers of every kind, and set") {
  CHECK(Json(std::size_t{7}).dump() == "7");
  CHECK(Json(short{-7}).dump() == "-7");
  CHECK(Json(7u).dump() == "7");
  CHECK(Json(0.5f).dump() == "0.5");
  CHECK(Json(true).dump() == "true");
  CHECK(Json("s").dump() == "\"s\"");
  std::uint64_t large = std::uint64_t{1} << 63;
  CHECK_THROWS_AS(Json{large}, UsageError);
  Json json(Json::Object{});
  json.set("b", 1);
  json.set("a", 2);
  json.set("b", "x");
  CHECK(json.dump() == R"({"b": "x", "a": 2})");
  CHECK(json.find("a") != nullptr);
  CHECK(json.find("c") == nullptr);
  CHECK_THROWS_AS(Json(1).set("a", 1), UsageError);
}

TEST_CASE("json text is Python's") {
  Json json = parse_json(R"({"b": [1, {"x": null}], "a": {}, "e": [], "é": "\u0000\u007f\"\\\/\b\f\n\r\té"})", "x");
  CHECK(json.dump() ==
        "{\"b\": [1, {\"x\": null}], \"a\": {}, \"e\": [], \"\\u00e9\": "
        "\"\\u0000\x7f\\\"\\\\/\\b\\f\\n\\r\\t\\u00e9\"}");
  CHECK(parse_json(R"({"b": [1, {"x": null}], "a": {}, "e": []})", "x").dump(2, true) ==
        "{\n  \"a\": {},\n  \"b\": [\n    1,\n    {\n      \"x\": null\n    }\n  ],\n  \"e\": []\n}");
  CHECK(Json("a\xff\xe2\x82z").dump() == "\"a\\ufffd\\ufffdz\"");
  auto text = [](double value) { return Json(value).dump(); };
  CHECK(text(0.1) == "0.1");
  CHECK(text(1.0) == "1.0");
  CHECK(text(-0.0) == "-0.0");
  CHECK(text(1e15) == "1000000000000000.0");
  CHECK(text(1e16) == "1e+16");
  CHECK(text(123456789.125) == "123456789.125");
  CHECK(text(0.0001) == "0.0001");
  CHECK(text(0.00012) == "0.00012");
  CHECK(text(1e-5) == "1e-05");
  CHECK(text(2.5e-7) == "2.5e-07");
  CHECK(text(-1.5e300) == "-1.5e+300");
  CHECK(text(5e-324) == "5e-324");
  CHECK_THROWS_AS(text(std::nan("")), NumericError);
  CHECK_THROWS_AS(text(HUGE_VAL), NumericError);
  CHECK(result_text(Json::Object{{"a", 1.5}, {"b", Json::Array{HUGE_VAL, -HUGE_VAL, std::nan("")}}, {"c", "é"}}) ==
        R"({"a": 1.5, "b": [null, null, null], "c": "\u00e9"})");
  for (double value : {1.0 / 3, 2e-5, 6.02214076e23, 1.7976931348623157e308, 0.3, 9007199254740993.0})
    CHECK(std::get<double>(parse_json(text(value), "x").value()) == value);
}

TEST_CASE("json places in messages") {
  Json json = parse_json(
      R"({"r": 8.5, "s": "8", "t": true, "n": null, "i": -1, "big": 70000, "a": {"b": [1, 2, "x\ny"]}})", "c.json");
  JsonRef ref(json, "c.json");
  auto message = [&](const auto& use) { return message_of<InputError>([&] { use(ref); }); };
  CHECK(message([](auto& r) { r.at("r").integer(1, 65536); }) ==
        "c.json: r: expected an integer in [1, 65536], found 8.5");
  CHECK(message([](auto& r) { r.at("s").integer(1, 65536); }) ==
        "c.json: s: expected an integer in [1, 65536], found \"8\"");
  CHECK(contains(message([](auto& r) { r.at("t").integer(0, 1); }), "found true"));
  CHECK(contains(message([](auto& r) { r.at("big").integer(1, 65536); }), "found 70000"));
  CHECK(message([](auto& r) { r.at("i").integer(0, std::numeric_limits<std::int64_t>::max()); }) ==
        "c.json: i: expected an integer of at least 0, found -1");
  CHECK(message([](auto& r) { r.at("i").number(0.0, std::numeric_limits<double>::infinity()); }) ==
        "c.json: i: expected a finite number of at least 0, found -1");
  CHECK(message([](auto& r) { r.at("t").number(0, 1); }) ==
        "c.json: t: expected a finite number in [0, 1], found true");
  CHECK(message([](auto& r) { r.at("a").at("b")[2].boolean(); }) ==
        "c.json: a.b[2]: expected true or false, found \"x\\ny\"");
  CHECK(message([](auto& r) { r.at("a").at("b").strings(); }) == "c.json: a.b[0]: expected a string, found 1");
  CHECK(message([](auto& r) { r.at("a").at("c"); }) == "c.json: a.c: expected this key, found none");
  CHECK(message([](auto& r) { r.at("a").at("b")[3]; }) ==
        "c.json: a.b: expected a list of at least 4 items, found [1, 2, \"x\\ny\"]");
  CHECK(message([](auto& r) { r.elements(); }).starts_with("c.json: expected a list, found {\"r\": 8.5"));
  CHECK(contains(message([](auto& r) { r.at("s").at("x"); }), "c.json: s: expected an object, found \"8\""));
  CHECK_FALSE(ref.find("n").has_value());
  CHECK_FALSE(ref.find("absent").has_value());
  CHECK(ref.at("n").is_null());
  CHECK(ref.at("a").members()[0].second.path() == "a.b");
  CHECK(ref.at("i").integer(-5, 5) == -1);
  CHECK(ref.at("i").number(-5, 5) == -1.0);
  CHECK(ref.at("r").number(0, 9) == 8.5);
  CHECK(ref.size() == 7);
  // Values that came from elsewhere than JSON text can be shown too.
  Json odd(std::numeric_limits<double>::infinity());
  CHECK(message_of<InputError>([&] { JsonRef(odd, "c.yaml").number(0, 1); }) ==
        "c.yaml: expected a finite number in [0, 1], found inf");
}

TEST_CASE("escaped") {
  CHECK(escaped("a\n\t\x1b[0m\x7f") == "a\\n\\t\\u001b[0m\\u007f");
  CHECK(escaped("\xc2\x9b é") == "\\u009b é");
  CHECK(escaped("a\xff z") == "a\\xff z");
  CHECK(escaped("ééééé", 5) == "éé...");
  CHECK(escaped("12345", 5) == "12345");
}

TEST_CASE("utf-8 steps over maximal broken parts") {
  auto step = [](std::string_view text) {
    CodePoint c = code_point_at(text, 0);
    return std::tuple(c.valid, static_cast<std::uint32_t>(c.value), c.size);
  };
  CHECK(step("\xf0\x9f\x98\x80") == std::tuple(true, 0x1f600u, std::size_t{4}));
  CHECK(step("\xf4\x8f\xbf\xbf") == std::tuple(true, 0x10ffffu, std::size_t{4}));
  CHECK(step("\xf0\x9f\x98") == std::tuple(false, 0xfffdu, std::size_t{3}));
  CHECK(step("\xf0\x80\x80\x80") == std::tuple(false, 0xfffdu, std::size_t{1}));
  CHECK(step("\xed\xa0\x80") == std::tuple(false, 0xfffdu, std::size_t{1}));
  CHECK(step("\xf4\x90\x80\x80") == std::tuple(false, 0xfffdu, std::size_t{1}));
  CHECK(step("\xe2\x82z") == std::tuple(false, 0xfffdu, std::size_t{2}));
  CHECK(step("\xc1\xbf") == std::tuple(false, 0xfffdu, std::size_t{1}));
}

TEST_CASE("json files") {
  TempFolder folder;
  put(folder / "a.json", "{\"a\": 1,}");
  CHECK(message_of<InputError>([&] {
          read_json_file(folder / "a.json");
        }).starts_with((folder / "a.json") + ": byte 9: "));
  CHECK(message_of<IoError>([&] { read_json_file(folder / "b.json"); }) ==
        (folder / "b.json") + ": cannot read: No such file or directory");
  CHECK(message_of<IoError>([&] { read_json_file(folder.path()); }) ==
        folder.path() + ": expected a file, found a folder");
  std::string config = shared("data/stories260k/config.json");
  if (!config.empty()) {
    Json json = read_json_file(config);
    CHECK(JsonRef(json, config).at("num_hidden_layers").integer(1, 100) == 5);
  }
}
