#include "io/safetensors.h"

#include <bit>
#include <cstring>
#include <random>

#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// A file with the given header text, a length that tells the truth, and `data` bytes of data.
std::string file_of(const std::string& header, std::size_t data = 0) {
  std::uint64_t length = header.size();
  std::string content(8, '\0');
  for (int i = 0; i < 8; ++i) content[i] = static_cast<char>(length >> (8 * i) & 0xff);
  content += header;
  for (std::size_t i = 0; i < data; ++i) content += static_cast<char>(i);
  return content;
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

StoredTensors open_content(const std::string& content) {
  TempFolder folder;
  put(folder / "x.safetensors", content);
  return open_safetensors(folder / "x.safetensors");  // the map outlives the file's name
}

/// The refusal of a file, without the folder's name.
std::string refusal(const std::string& content) {
  std::string message = message_of<InputError>([&] { open_content(content); });
  auto at = message.find("x.safetensors");
  return at == std::string::npos ? "no file name: " + message : message.substr(at);
}

const std::string good = "{" + entry("a", "F32", "[2]", "[0,8]") + "," + entry("b", "U8", "[3]", "[8,11]") + "}";

/// Refusal of a file with one tensor `w` and that much data.
std::string refusal_of(const std::string& dtype, const std::string& shape, const std::string& offsets,
                       std::size_t data) {
  return refusal(file_of("{" + entry("w", dtype, shape, offsets) + "}", data));
}

}  // namespace

TEST_CASE("safetensors reads") {
  StoredTensors file = open_content(file_of("{\"__metadata__\":{\"k\":\"v\"}," + good.substr(1), 11));
  REQUIRE(file.tensors.size() == 2);
  CHECK(file.metadata == std::map<std::string, std::string>{{"k", "v"}});
  const StoredTensor* a = file.find("a");
  REQUIRE(a != nullptr);
  CHECK(a->dtype() == DType::f32);
  CHECK(a->shape == std::vector<std::int64_t>{2});
  CHECK(a->shape_text() == "[2]");
  CHECK(a->byte_count == 8);
  CHECK(std::to_integer<int>(a->bytes[7]) == 7);
  CHECK(std::to_integer<int>(file.find("b")->bytes[0]) == 8);
  CHECK(file.find("c") == nullptr);
  CHECK(contains(message_of<InputError>([&] { file.find("b")->dtype(); }),
                 "x.safetensors: b: expected dtype F32, BF16, F16 or F64, found U8"));
}

TEST_CASE("safetensors accepts the odd but valid") {
  // Any order in the header; sorted by name in the result.
  auto any = open_content(file_of("{" + entry("z", "U8", "[1]", "[4,5]") + "," + entry("m", "F16", "[1]", "[2,4]") +
                                      "," + entry("a", "BF16", "[1]", "[0,2]") + "}",
                                  5));
  CHECK(any.tensors[0].name == "a");
  CHECK(any.tensors[2].name == "z");
  CHECK(any.find("m")->dtype() == DType::f16);
  // A scalar, behind a byte that misaligns it.
  auto scalar =
      open_content(file_of("{" + entry("b", "BOOL", "[1]", "[0,1]") + "," + entry("s", "F64", "[]", "[1,9]") + "}", 9));
  CHECK(scalar.find("s")->shape.empty());
  CHECK(scalar.find("s")->shape_text() == "[]");
  CHECK(scalar.find("s")->byte_count == 8);
  // Zero dimensions: at the begin, between, at the end, next to a large one.
  auto zero = open_content(file_of("{" + entry("e", "F32", "[0]", "[4,4]") + "," + entry("w", "F32", "[1]", "[0,4]") +
                                       "," + entry("c", "F32", "[3,0,4294967296]", "[0,0]") + "," +
                                       entry("d", "U8", "[1]", "[4,5]") + "," + entry("f", "F64", "[0]", "[5,5]") + "}",
                                   5));
  CHECK(zero.tensors.size() == 5);
  CHECK(zero.find("c")->byte_count == 0);
  // No tensors, with and without metadata; space padding; white space; a key nobody knows; a name beyond ASCII.
  CHECK(open_content(file_of("{}")).tensors.empty());
  CHECK(open_content(file_of("{\"__metadata__\":{}}   ")).tensors.empty());
  CHECK(open_content(file_of(" { } \n")).tensors.empty());
  CHECK(open_content(file_of("{\"\xc3\xa9\":{\"dtype\":\"U8\",\"x\":1,\"shape\":[0],\"data_offsets\":[0,0]}}"))
            .find("é"));
  CHECK(open_content(file_of("{" + entry("w", "U8", "[1,1,1,1,1,1,1,2]", "[0,2]") + "}", 2)).tensors.size() == 1);
  for (const char* name : {"BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})
    CHECK(open_content(file_of("{" + entry("w", name, "[3]", "[0,3]") + "}", 3)).tensors.size() == 1);
  for (const char* name : {"U16", "I16", "F16", "BF16"})
    CHECK(open_content(file_of("{" + entry("w", name, "[3]", "[0,6]") + "}", 6)).tensors.size() == 1);
  for (const char* name : {"U32", "I32", "F32"})
    CHECK(open_content(file_of("{" + entry("w", name, "[3]", "[0,12]") + "}", 12)).tensors.size() == 1);
  for (const char* name : {"U64", "I64", "F64", "C64"})
    CHECK(open_content(file_of("{" + entry("w", name, "[3]", "[0,24]") + "}", 24)).tensors.size() == 1);
  for (const char* name : {"F6_E2M3", "F6_E3M2"})
    CHECK(open_content(file_of("{" + entry("w", name, "[4]", "[0,3]") + "}", 3)).tensors.size() == 1);
  CHECK(open_content(file_of("{" + entry("w", "F4", "[2,3]", "[0,3]") + "}", 3)).tensors.size() == 1);
}

TEST_CASE("a header's length may look like the beginning of another format") {
  for (std::size_t length : {0x0280, 0x8b1f}) {  // a pickle's, gzip's
    std::string header = good;
    header.resize(length, ' ');
    CHECK(open_content(file_of(header, 11)).tensors.size() == 2);
  }
}

TEST_CASE("safetensors refuses a broken frame") {
  CHECK(contains(refusal(""), "x.safetensors: expected a safetensors file, found an empty file"));
  CHECK(refusal("Entry not found") ==
        "x.safetensors: expected a safetensors file, found a text that begins \"Entry not found\"");
  CHECK(refusal(std::string("\0\0\0\0\0\0\0", 7)) == "x.safetensors: expected at least 8 bytes, found 7");
  CHECK(refusal(std::string(8, '\0')) == "x.safetensors: header: byte 1: expected JSON, found the end");
  std::string long_header = file_of("{}", 10);
  long_header[0] = 13;
  CHECK(refusal(long_header) == "x.safetensors: header length: expected at most 12 bytes in a file of 20, found 13");
  // 100,000,001, a length with the sign bit, and one whose lower 32 bits look harmless.
  CHECK(contains(refusal(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10)),
                 "expected at most 100000000 bytes, found 100000001"));
  CHECK(
      contains(refusal(std::string("\x02\0\0\0\0\0\0\x80{}", 10)), "header length: expected at most 100000000 bytes"));
  CHECK(
      contains(refusal(std::string("\x02\0\0\0\x01\0\0\0{}", 10)), "header length: expected at most 100000000 bytes"));
  CHECK(contains(refusal(file_of("{} x")), "x.safetensors: header: byte 4: expected end of input"));
  CHECK(contains(refusal(file_of(R"({"w":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":NaN}})", 4)),
                 "x.safetensors: header: byte "));
  CHECK(contains(refusal(file_of(std::string("{}\0", 3))), "found a NUL byte"));
  CHECK(contains(refusal(file_of(std::string("{\"a\0\":1}", 8))), "found a NUL byte"));
  CHECK(contains(refusal(file_of("\xef\xbb\xbf{}")), "found a byte order mark"));
  CHECK(contains(refusal(file_of("{\"\xff\":1}")), "x.safetensors: header: byte 3: "));
  CHECK(refusal(file_of("[]")) == "x.safetensors: header: expected an object, found []");
  CHECK(contains(refusal(file_of("3")), "expected an object, found 3"));
  CHECK(contains(refusal(file_of("{\"a\":" + std::string(70, '[') + std::string(70, ']') + "}")), "nested"));
  CHECK(refusal(file_of("{\"__metadata__\":{\"n\":1}}")) ==
        "x.safetensors: __metadata__.n: expected a string, found 1");
  CHECK(contains(refusal(file_of("{\"__metadata__\":[]}")), "x.safetensors: __metadata__: expected an object"));
}

TEST_CASE("safetensors refuses a broken entry") {
  CHECK(refusal_of("F31", "[2]", "[0,8]", 8) ==
        "x.safetensors: w.dtype: expected a dtype of the safetensors format, found \"F31\"");
  CHECK(contains(refusal_of("f32", "[2]", "[0,8]", 8), "w.dtype"));
  CHECK(contains(refusal(file_of("{\"w\":{\"dtype\":4,\"shape\":[2],\"data_offsets\":[0,8]}}", 8)),
                 "w.dtype: expected a string"));
  CHECK(contains(refusal(file_of("{\"w\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8)), "w.dtype: expected this key"));
  CHECK(contains(refusal(file_of("{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8)),
                 "w.shape: expected this key"));
  CHECK(
      contains(refusal(file_of("{\"w\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8)), "w.data_offsets: expected this key"));
  CHECK(contains(refusal(file_of("{\"w\":7}")), "w: expected an object, found 7"));
  CHECK(refusal_of("F32", "[-2]", "[0,8]", 8) ==
        "x.safetensors: w.shape[0]: expected an integer of at least 0, found -2");
  for (const char* dim : {"2.0", "2.5", "\"2\"", "true", "null", "[2]", "2e0", "-0", "1e999"})
    CHECK_MESSAGE(contains(refusal_of("F32", "[" + std::string(dim) + "]", "[0,8]", 8), "x.safetensors: "), dim);
  CHECK(contains(refusal_of("F32", "[18446744073709551618]", "[0,8]", 8), "w.shape[0]: expected an integer"));
  CHECK(contains(refusal_of("F32", "2", "[0,8]", 8), "w.shape: expected a list"));
  CHECK(contains(refusal_of("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]", 8),
                 "w.shape: expected a list of at most 8 dimensions"));
  for (const char* offsets : {"[-1,8]", "[0,-8]", "[0.0,8]", "[0,8.5]", "[\"0\",8]", "[0,18446744073709551616]",
                              "[18446744073709551608,8]", "[false,8]", "[null,8]"})
    CHECK_MESSAGE(contains(refusal_of("F32", "[2]", offsets, 8), "w.data_offsets["), offsets);
  for (const char* offsets : {"[]", "[0]", "[0,8,8]", "8", "{}"})
    CHECK_MESSAGE(contains(refusal_of("F32", "[2]", offsets, 8), "w.data_offsets: expected a list of two"), offsets);
  CHECK(contains(refusal_of("F32", "[2]", "[8,0]", 8), "w.data_offsets: expected an end not before the begin"));
  CHECK(refusal_of("F32", "[3]", "[0,8]", 8) ==
        "x.safetensors: w: expected 12 bytes for shape [3] of F32, found 8 (offsets 0 to 8)");
  CHECK(contains(refusal_of("F32", "[0]", "[0,8]", 8), "expected 0 bytes for shape [0] of F32, found 8"));
  CHECK(contains(refusal_of("F32", "[]", "[0,0]", 0), "expected 4 bytes for shape [] of F32, found 0"));
  CHECK(contains(refusal_of("F4", "[3]", "[0,1]", 1), "expected whole bytes, found shape [3] of F4: 12 bits"));
  CHECK(contains(
      refusal(file_of("{" + entry("a", "U8", "[1]", "[0,1]") + "," + entry("a", "U8", "[1]", "[1,2]") + "}", 2)),
      "a: expected every key once, found this one twice"));
  CHECK(
      contains(refusal(file_of("{\"w\":{\"dtype\":\"U8\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1)),
               "w.dtype: expected every key once"));
  // Control characters of a hostile name do not reach the terminal.
  CHECK(contains(refusal(file_of("{" + entry("a\\u001b[2J\\n", "U8", "[1]", "[0,2]") + "}", 2)),
                 ": a\\u001b[2J\\n: expected 1"));
}

TEST_CASE("safetensors refuses a broken layout") {
  auto two = [](const std::string& a, const std::string& b, std::size_t data) {
    return refusal(file_of("{" + entry("a", "U8", "[4]", a) + "," + entry("b", "U8", "[4]", b) + "}", data));
  };
  CHECK(two("[0,4]", "[5,9]", 9) ==
        "x.safetensors: b: expected data that begins at byte 4, where a ends, found 5 (a gap)");
  CHECK(two("[0,4]", "[3,7]", 7) ==
        "x.safetensors: b: expected data that begins at byte 4, where a ends, found 3 (an overlap)");
  CHECK(contains(two("[0,4]", "[0,4]", 4), "(an overlap)"));
  CHECK(contains(two("[1,5]", "[5,9]", 9),
                 "a: expected data that begins at byte 0, where the header ends, found 1 (a gap)"));
  CHECK(two("[0,4]", "[4,8]", 9) == "x.safetensors: data: expected 8 bytes, where b ends, found 9");
  CHECK(two("[0,4]", "[4,8]", 7) ==
        "x.safetensors: b: expected its data at bytes 4 to 8, found only 7 bytes of data in the file");
  CHECK(contains(refusal(file_of("{}", 1)), "data: expected 0 bytes, where the header ends, found 1"));
  // An empty tensor is placed too: inside another, or behind the end.
  CHECK(contains(
      refusal(file_of("{" + entry("a", "U8", "[4]", "[0,4]") + "," + entry("e", "U8", "[0]", "[2,2]") + "}", 4)),
      "e: expected data that begins at byte 4"));
  CHECK(contains(refusal_of("U8", "[0]", "[100,100]", 0), "(a gap)"));
}

TEST_CASE("safetensors withstands the known attacks") {
  CHECK(contains(refusal_of("F32", "[4294967296,4294967296]", "[0,0]", 0),
                 "found shape [4294967296, 4294967296] of F32"));
  CHECK(contains(refusal_of("U8", "[4294967296,4294967296]", "[0,0]", 0), "expected fewer than 2^63"));
  // Products that wrap to zero or to something small, as elements, bytes and bits.
  CHECK(contains(refusal_of("F64", "[2305843009213693952]", "[0,0]", 0), "expected fewer than 2^63"));
  CHECK(contains(refusal_of("F32", "[4611686018427387905]", "[0,4]", 4), "expected fewer than 2^63"));
  CHECK(contains(refusal_of("U8", "[2305843009213693953]", "[0,1]", 1), "expected fewer than 2^63"));
  CHECK(contains(refusal_of("U8", "[2,2,4611686018427387904]", "[0,0]", 0), "expected fewer than 2^63"));
  CHECK(contains(refusal_of("U8", "[6148914691236517205,3]", "[0,15]", 15), "expected fewer than 2^63"));
  CHECK(contains(refusal_of("F32", "[0,9223372036854775808,9223372036854775808]", "[0,0]", 0), "w.shape[1]"));
  CHECK(contains(refusal_of("F32", "[0,4611686018427387904,4611686018427387904]", "[0,0]", 0),
                 "expected fewer than 2^63"));
  // Sizes that fit only when cut to 32 bits, or compared as signed numbers.
  CHECK(contains(refusal_of("U8", "[4294967300]", "[0,4]", 4), "expected 4294967300 bytes"));
  CHECK(contains(refusal_of("U8", "[4]", "[4294967296,4294967300]", 4), "(a gap)"));
  CHECK(contains(refusal_of("U8", "[4294967300]", "[0,4294967300]", 4), "found only 4 bytes"));
  CHECK(contains(refusal_of("U8", "[9223372036854775807]", "[0,9223372036854775807]", 4), "w"));
  CHECK(contains(refusal_of("U8", "[4]", "[18446744073709551612,18446744073709551616]", 4), "w.data_offsets[0]"));
}

TEST_CASE("safetensors cut short or changed anywhere never crashes") {
  std::string whole = file_of("{\"__metadata__\":{\"k\":\"v\"}," + good.substr(1) + "  ", 11);
  CHECK(open_content(whole).tensors.size() == 2);
  TempFolder folder;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    put(folder / "cut", whole.substr(0, size));
    CHECK_THROWS_AS(open_safetensors(folder / "cut"), InputError);
  }
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string changed = whole;
    for (unsigned n = 1 + random() % 3; n > 0; --n)
      changed[random() % (round % 4 ? whole.size() - 11 : 8)] =
          static_cast<char>(random() % 3 ? '0' + random() % 10 : random());
    put(folder / "changed", changed);
    try {
      std::size_t sum = 0;
      for (const StoredTensor& tensor : open_safetensors(folder / "changed").tensors)
        for (std::size_t i = 0; i < tensor.byte_count; ++i) sum += std::to_integer<std::size_t>(tensor.bytes[i]);
      CHECK(sum <= 11 * 255);
    } catch (const InputError&) {
      ++refused;
    }
  }
  CHECK(refused > 1500);
}

TEST_CASE("safetensors files that are not there") {
  TempFolder folder;
  CHECK(message_of<IoError>([&] { open_safetensors(folder / "no"); }) ==
        (folder / "no") + ": cannot read: No such file or directory");
  CHECK(contains(message_of<IoError>([&] { open_safetensors(folder.path()); }), "expected a file, found a folder"));
}

TEST_CASE("safetensors writing and reading is bit-exact") {
  TempFolder folder;
  std::vector<std::uint32_t> f32 = {0x7fc00001, 0xff800000, 0x80000000, 0x00000001, 0x3f800000, 0x7f7fffff};
  std::vector<std::uint16_t> bf16 = {0x7fc1, 0x8000, 0x0001}, f16 = {0x7e01, 0x03ff};
  std::vector<std::uint64_t> f64 = {0x7ff8000000000001, 0x8000000000000000};
  std::vector<std::int32_t> i32 = {-1, 7};
  std::vector<TensorToWrite> tensors = {
      {"h", DType::f16, {2}, f16.data()},      {"z.w", DType::f32, {2, 3}, f32.data()},
      {"b", DType::bf16, {3, 1}, bf16.data()}, {"d", DType::f64, {2}, f64.data()},
      {"i", DType::i32, {2}, i32.data()},      {"a.\"é\n", DType::f32, {}, f32.data()},
      {"e", DType::f32, {0, 4}, nullptr}};
  std::string path = folder / "out.safetensors";
  write_safetensors(path, tensors, {{"format", "pt"}, {"note", "\"x\""}});
  StoredTensors file = open_safetensors(path);
  CHECK(file.metadata == std::map<std::string, std::string>{{"format", "pt"}, {"note", "\"x\""}});
  REQUIRE(file.tensors.size() == tensors.size());
  for (const TensorToWrite& tensor : tensors) {
    const StoredTensor* stored = file.find(tensor.name);
    REQUIRE(stored != nullptr);
    CHECK(stored->shape == tensor.shape);
    if (tensor.dtype != DType::i32) CHECK(stored->dtype() == tensor.dtype);
    if (stored->byte_count) CHECK(std::memcmp(stored->bytes, tensor.data, stored->byte_count) == 0);
    // The order of dtypes keeps every tensor aligned to its element.
    CHECK((stored->bytes - file.tensors[0].file->data()) % static_cast<std::ptrdiff_t>(size_of(tensor.dtype)) == 0);
  }
  std::string written = get(path);
  CHECK(written.substr(8, 15) == "{\"__metadata__\"");
  CHECK(static_cast<unsigned char>(written[0]) % 8 == 0);
  CHECK(folder.names() == std::set<std::string>{"out.safetensors"});
  // Again, with nothing in it.
  write_safetensors(path, {}, {});
  CHECK(get(path) == file_of("{}      "));
}

TEST_CASE("safetensors writing refuses what it could not read") {
  TempFolder folder;
  float value = 1;
  auto refused = [&](std::vector<TensorToWrite> tensors) {
    return message_of<UsageError>([&] { write_safetensors(folder / "o", tensors); });
  };
  CHECK(contains(refused({{"a", DType::f32, {1}, &value}, {"a", DType::bf16, {1}, &value}}),
                 "a: expected every tensor once"));
  CHECK(contains(refused({{"a", DType::f32, {-1}, &value}}), "found [-1] of F32"));
  CHECK(contains(refused({{"a", DType::f32, {1ll << 62, 1ll << 62}, &value}}), "2^62 bytes"));
  CHECK(contains(refused({{"a", DType::f32, {1, 1, 1, 1, 1, 1, 1, 1, 1}, &value}}), "at most 8 dimensions"));
  CHECK(contains(refused({{"a", DType::f32, {1}, nullptr}}), "expected 4 bytes of data, found none"));
  CHECK(contains(refused({{"__metadata__", DType::f32, {1}, &value}}), "expected another name"));
  CHECK(folder.names().empty());
}

TEST_CASE("safetensors of the reference folder") {
  std::string path = shared("data/stories260k/model.safetensors");
  if (path.empty()) return;
  StoredTensors file = open_safetensors(path);
  std::int64_t parameters = 0;
  std::vector<TensorToWrite> tensors;
  for (const StoredTensor& tensor : file.tensors) {
    parameters += static_cast<std::int64_t>(tensor.byte_count / size_of(tensor.dtype()));
    tensors.push_back({tensor.name, tensor.dtype(), tensor.shape, tensor.bytes});
  }
  CHECK(parameters == 260032);
  // What the reference library has written, we write byte for byte.
  TempFolder folder;
  write_safetensors(folder / "again", tensors, file.metadata);
  bool same = get(folder / "again") == get(path);
  CHECK(same);
  CHECK(open_model_folder(shared("golden/families/llama/model")).find("model.embed_tokens.weight") != nullptr);
}
