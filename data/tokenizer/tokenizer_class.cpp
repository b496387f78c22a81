#include "data/tokenizer/tokenizer_class.h"

#include <algorithm>
#include <array>

namespace loragrad {
namespace {

constexpr std::string_view end = "<|endoftext|>";
constexpr std::string_view byte_level = R"({"type":"ByteLevel","add_prefix_space":false})", nfc = R"({"type":"NFC"})";
constexpr std::string_view metaspace =
    R"({"type":"Metaspace","replacement":"\u2581","prepend_scheme":"first","split":false})";
constexpr std::string_view qwen2_words =
    R"re({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})re";
constexpr std::string_view qwen3_5_words =
    R"re({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})re";

const std::vector<TokenizerClass>& classes() {
  static const std::vector<TokenizerClass> all{
      {.name = "TokenizersBackend", .special_tokens = {}},
      {.name = "GPT2Tokenizer",
       .special_tokens = {{"unk_token", end}, {"bos_token", end}, {"eos_token", end}},
       .builds = true,
       .pre_tokenizer = byte_level,
       .takes_prefix_space = true,
       .reads_merges = true},
      {.name = "Qwen2Tokenizer",
       .special_tokens = {{"unk_token", end}, {"eos_token", end}, {"pad_token", end}},
       .builds = true,
       .normalizer = nfc,
       .pre_tokenizer = qwen2_words,
       .takes_prefix_space = true,
       .reads_merges = true,
       .resets_flags = true},
      {.name = "Qwen3_5Tokenizer",
       .special_tokens = {{"unk_token", end}, {"eos_token", end}, {"pad_token", end}},
       .builds = true,
       .normalizer = nfc,
       .pre_tokenizer = qwen3_5_words,
       .takes_prefix_space = true},
      {.name = "GPTNeoXTokenizer",
       .special_tokens = {{"unk_token", end}, {"bos_token", end}, {"eos_token", end}, {"pad_token", "<|padding|>"}},
       .builds = true,
       .normalizer = nfc,
       .pre_tokenizer = byte_level,
       .takes_prefix_space = true,
       .reads_merges = true,
       .drops_post_processor = true},
      {.name = "LlamaTokenizer",
       .special_tokens = {{"unk_token", "<unk>"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}},
       .builds = true,
       .pre_tokenizer = metaspace},
      {.name = "CodeLlamaTokenizer",
       .special_tokens = {{"unk_token", "<unk>"},
                          {"bos_token", "<s>"},
                          {"eos_token", "</s>"},
                          {"prefix_token", "▁<PRE>"},
                          {"middle_token", "▁<MID>"},
                          {"suffix_token", "▁<SUF>"},
                          {"eot_token", "▁<EOT>"},
                          {"fill_token", "<FILL_ME>"}},
       .builds = true,
       .pre_tokenizer = metaspace},
      {.name = "GemmaTokenizer",
       .special_tokens = {{"unk_token", "<unk>"},
                          {"bos_token", "<bos>"},
                          {"eos_token", "<eos>"},
                          {"pad_token", "<pad>"},
                          {"mask_token", "<mask>"}},
       .builds = true,
       .normalizer = R"({"type":"Replace","pattern":{"String":" "},"content":"\u2581"})",
       .pre_tokenizer = R"({"type":"Split","pattern":{"String":" "},"behavior":"MergedWithPrevious","invert":false})"},
      {.name = "CohereTokenizer",
       .special_tokens = {{"unk_token", "<UNK>"},
                          {"bos_token", "<BOS_TOKEN>"},
                          {"eos_token", "<|END_OF_TURN_TOKEN|>"},
                          {"pad_token", "<PAD>"},
                          {"cls_token", "<CLS>"},
                          {"sep_token", "<SEP>"},
                          {"mask_token", "<MASK_TOKEN>"}},
       .builds = true,
       .normalizer = nfc,
       .pre_tokenizer =
           R"({"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"ByteLevel","add_prefix_space":false}]})",
       .takes_prefix_space = true}};
  return all;
}

const TokenizerClass* find_class(std::string_view name) {
  for (const TokenizerClass& known : classes())
    if (known.name == name) return &known;
  return nullptr;
}

/// The class of a model type, where transformers has one of its own for it.
std::string_view class_of_model(std::string_view model_type) {
  using Types = std::vector<std::string_view>;
  static const std::vector<std::pair<std::string_view, Types>> table{
      {"GPT2Tokenizer", {"gpt2", "opt", "gpt_neo", "gptj", "codegen", "phi", "starcoder2", "dbrx", "jais2", "emu3"}},
      {"Qwen2Tokenizer",
       {"qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen3", "qwen3_moe", "qwen3_next", "qwen3_vl",
        "qwen3_vl_moe"}},
      {"Qwen3_5Tokenizer", {"qwen3_5", "qwen3_5_moe", "qwen3_5_text", "qwen3_5_moe_text"}},
      {"GPTNeoXTokenizer", {"gpt_neox", "falcon_mamba", "mamba", "mamba2", "mpt", "olmo", "olmoe", "rwkv", "xlstm"}},
      {"GemmaTokenizer",
       {"gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n", "gemma3n_text", "recurrent_gemma", "t5gemma"}},
      {"CohereTokenizer", {"cohere", "cohere2"}},
      // Those that take tokenizer.json as it stands, whatever class the folder declares.
      {"TokenizersBackend",
       {"mistral",    "mistral3",    "ministral", "mixtral",   "phi3",      "phimoe",   "granite",
        "granitemoe", "olmo2",       "olmo3",     "stablelm",  "persimmon", "nemotron", "glm",
        "glm4",       "gpt_bigcode", "ernie4_5",  "internlm2", "minicpm3",  "jamba",    "modernbert"}}};
  for (const auto& [name, types] : table)
    if (std::find(types.begin(), types.end(), model_type) != types.end()) return name;
  return "";
}

/// Model types whose published folders declare a wrong class: theirs is taken.
bool declares_wrongly(std::string_view model_type) {
  constexpr std::array<std::string_view, 5> types{"qwen2", "qwen3_5", "qwen3_5_moe", "qwen3_5_moe_text", "phi3"};
  return std::find(types.begin(), types.end(), model_type) != types.end();
}

}  // namespace

const TokenizerClass& tokenizer_class(const std::optional<std::string>& declared,
                                      const std::optional<std::string>& model_type, bool byte_level) {
  const TokenizerClass& backend = classes().front();
  std::string_view own = model_type ? class_of_model(*model_type) : "";
  if (!declared) {
    const TokenizerClass* found = find_class(own);
    return found ? *found : backend;
  }
  std::string_view name = *declared;
  if (name.ends_with("Fast")) name.remove_suffix(4);
  if (!own.empty() && own != name) {
    if (own == backend.name) return backend;
    if (declares_wrongly(*model_type)) name = own;
  }
  // Llama 3 and its kin declare the class of Llama 2.
  if (name == "LlamaTokenizer" && byte_level) return backend;
  const TokenizerClass* found = find_class(name);
  return found ? *found : backend;
}

std::string classes_that_read_merges() {
  std::string names;
  for (const TokenizerClass& known : classes())
    if (known.reads_merges) names += (names.empty() ? "" : ", ") + std::string(known.name);
  return names;
}

}  // namespace loragrad
