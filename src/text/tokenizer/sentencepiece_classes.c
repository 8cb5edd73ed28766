/* sentencepiece_classes.c: the classes of transformers that read SentencePiece models, a row each. */
#include "sentencepiece_classes.h"

#define REPLACE_BLANKS "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\u2581\"},\"content\":\" \"}"
#define BYTES_JOINED "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}"
#define BLANKS_MARKED "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\",\"split\":true}"
#define MARKED "{\"pre_tokenizer\":" BLANKS_MARKED ",\"decoder\":" BLANKS_MARKED "}"
#define WORDS                                                                                                    \
    "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"}," BLANKS_MARKED \
    "]},\"decoder\":" BLANKS_MARKED "}"
#define LLAMA_STEPS                                                                                                 \
    "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"first\",\"split\":" \
    "false},"                                                                                                       \
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[" REPLACE_BLANKS "," BYTES_JOINED                             \
    ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}}"

#define REPLACE(kind, old, new, more) \
    "{\"type\":\"Replace\",\"pattern\":{\"" kind "\":\"" old "\"},\"content\":\"" new "\"" more "}"
#define ONE_BLANK(more) REPLACE("Regex", " {2,}", " ", more)
#define WITH_RULES ",\"if\":\"rules\""
#define QUOTES REPLACE("String", "``", "\\\"", "") "," REPLACE("String", "''", "\\\"", "")
#define WITHOUT_ACCENTS(more) "{\"type\":\"NFKD\"" more "},{\"type\":\"StripAccents\"" more "}"
#define LOWERCASE(otherwise) "{\"type\":\"Lowercase\",\"if\":\"do_lower_case\",\"else\":" otherwise "}"

#define SPECIALS                                                 \
    {                                                            \
        "<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>" \
    }
#define FAIRSEQ "bos_token=<s> pad_token=<pad> eos_token=</s> unk_token=<unk>"
#define MASK "mask_token=<mask>"
#define AROUND_BOTH .single = "bos0 A0 eos0", .pair = "bos0 A0 eos0 eos0 B0 eos0"
#define AROUND_CLS .single = "cls0 A0 sep0", .pair = "cls0 A0 sep0 B1 sep1"

#define LANGUAGES                                                                                                  \
    "ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT lv_LV my_MM ne_NP " \
    "nl_XX "                                                                                                       \
    "ro_RO ru_RU si_LK tr_TR vi_VN zh_CN"
#define LANGUAGES_50                                                                                          \
    LANGUAGES                                                                                                 \
    " af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL ps_AF pt_XX sv_SE " \
    "sw_KE ta_IN te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI"

/* Texts are not put together around "<FILL_ME>", which transformers does when it encodes. */
static const special_default infilling[] = {
    { "prefix_token", "\u2581<PRE>" }, { "middle_token", "\u2581<MID>" }, { "suffix_token", "\u2581<SUF>" },
    { "eot_token", "\u2581<EOT>" },    { "fill_token", "<FILL_ME>" },     { 0 },
};
static const special_default sentence_mask[] = { { "mask_token_sent", "<mask_1>" }, { 0 } };

static const sentencepiece_class classes[] = {
    { .names = "LlamaTokenizer Phi3Tokenizer",
      .types = "",
      .kind = MODEL_BPE,
      .specials = { "<s>", "</s>", "<unk>" },
      .unknown = UNKNOWN_NONE,
      .bytes = true,
      .takes_prefix = true,
      .legacy = true,
      .steps = LLAMA_STEPS },
    { .names = "CodeLlamaTokenizer",
      .types = "code_llama",
      .kind = MODEL_BPE,
      .specials = { "<s>", "</s>", "<unk>" },
      .own = infilling,
      .unknown = UNKNOWN_NAMED,
      .bytes = true,
      .adds_bos = true,
      .takes_prefix = true,
      .steps = LLAMA_STEPS },
    { .names = "GemmaTokenizer",
      .types = "gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text recurrent_gemma shieldgemma2 t5gemma",
      .kind = MODEL_BPE,
      .specials = { "<bos>", "<eos>", "<unk>", NULL, "<pad>", NULL, "<mask>" },
      .unknown = UNKNOWN_NAMED,
      .bytes = true,
      .before_rules = "[" REPLACE("String", " ", "\u2581", "") "]",
      .steps =
          "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":"
          "\"MergedWithPrevious\",\"invert\":false},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[" REPLACE_BLANKS
          "," BYTES_JOINED "]}}" },
    { .names = "T5Tokenizer MT5Tokenizer",
      .types = "t5 mt5 switch_transformers",
      .kind = MODEL_UNIGRAM,
      .specials = { NULL, "</s>", "<unk>", NULL, "<pad>" },
      .extra_ids = 100,
      .unknown = 2,
      .rules = true,
      .steps = WORDS,
      .single = "A0 eos0",
      .pair = "A0 eos0 B0 eos0" },
    { .names = "XLMRobertaTokenizer",
      .types = "xlm-roberta",
      .kind = MODEL_UNIGRAM,
      .specials = SPECIALS,
      .before = FAIRSEQ,
      .replaced = 3,
      .behind = MASK,
      .unknown = 3,
      .rules = true,
      .takes_prefix = true,
      .steps = WORDS,
      AROUND_BOTH },
    { .names = "CamembertTokenizer",
      .types = "camembert",
      .kind = MODEL_UNIGRAM,
      .specials = SPECIALS,
      .mask_left = true,
      .before = "<s>NOTUSED pad_token=<pad> </s>NOTUSED unk_token=<unk> -<unk>NOTUSED",
      .replaced = 1,
      .behind = MASK,
      .unknown = UNKNOWN_NAMED,
      .rules = true,
      .takes_prefix = true,
      .steps = WORDS,
      AROUND_BOTH },
    { .names = "BarthezTokenizer",
      .types = "",
      .kind = MODEL_UNIGRAM,
      .specials = SPECIALS,
      .mask_left = true,
      .unknown = 3,
      .before_rules = "[" REPLACE("Regex", "\\\\s{2,}|[\\\\n\\\\r\\\\t]", " ",
                                  "") ",{\"type\":\"NFC\"},"
                                      "{\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":true}]",
      .takes_prefix = true,
      .steps = MARKED },
    { .names = "XLNetTokenizer",
      .types = "xlnet",
      .kind = MODEL_UNIGRAM,
      .specials = { "<s>", "</s>", "<unk>", "<sep>", "<pad>", "<cls>", "<mask>" },
      .mask_left = true,
      .unknown = UNKNOWN_TRAINED,
      .before_rules = "[" QUOTES "," WITHOUT_ACCENTS("") "," LOWERCASE("false") "]",
      .rules = true,
      .steps = WORDS,
      .single = "A0 sep0 cls2",
      .pair = "A0 sep0 B1 sep1 cls2" },
    { .names = "AlbertTokenizer",
      .types = "albert",
      .kind = MODEL_UNIGRAM,
      .specials = { "[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]" },
      .unknown = 1,
      .before_rules = "[" QUOTES "," WITHOUT_ACCENTS(",\"if\":\"no keep_accents\"") "," LOWERCASE("true") "]",
      .rules = true,
      .takes_prefix = true,
      .steps = WORDS,
      AROUND_CLS,
      .gives_way = true },
    { .names = "MBartTokenizer",
      .types = "mbart",
      .kind = MODEL_UNIGRAM,
      .specials = SPECIALS,
      .mask_left = true,
      .before = FAIRSEQ,
      .replaced = 3,
      .behind = LANGUAGES " " MASK,
      .languages = LANGUAGES,
      .unknown = 3,
      .steps = WORDS,
      .single = "A0 eos0 lang0",
      .pair = "A0 B0 eos0 lang0",
      .language = "en_XX" },
    { .names = "MBart50Tokenizer",
      .types = "",
      .kind = MODEL_UNIGRAM,
      .specials = { NULL, "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>" },
      .mask_left = true,
      .before = "cls_token=<s> pad_token=<pad> eos_token=</s> unk_token=<unk>",
      .replaced = 3,
      .behind = LANGUAGES_50 " " MASK,
      .languages = LANGUAGES_50,
      .unknown = 3,
      .rules = true,
      .after_rules = "[" ONE_BLANK("") "]",
      .steps = MARKED,
      .single = "lang0 A0 eos0",
      .pair = "lang0 A0 B0 eos0",
      .language = "en_XX" },
    { .names = "NllbTokenizer",
      .types = "nllb-moe",
      .kind = MODEL_BPE,
      .specials = SPECIALS,
      .mask_left = true,
      .mask_normalised = true,
      .before = FAIRSEQ,
      .once = true,
      .unknown = UNKNOWN_NAMED,
      .rules = true,
      .after_rules = "[" ONE_BLANK(WITH_RULES) "]",
      .steps = MARKED,
      .single = "lang0 A0 eos0",
      .pair = "lang0 A0 B0 eos0",
      .language = "eng_Latn",
      .legacy_behaviour = true },
    { .names = "PegasusTokenizer",
      .types = "pegasus",
      .kind = MODEL_UNIGRAM,
      .specials = { NULL, "</s>", "<unk>", NULL, "<pad>", NULL, "<mask_2>" },
      .own = sentence_mask,
      /* in this order where the files do not say, whatever the class itself calls them */
      .before = "pad_token=<pad> eos_token=</s> mask_token=<mask_1> mask_token_sent=<mask_2>",
      .replaced = 2,
      .once = true,
      .offset = 103,
      .unknown = UNKNOWN_NAMED,
      .before_rules = "[" REPLACE("Regex", "\\\\n", " ", ",\"if\":\"no rules\"") "]",
      .rules = true,
      .after_rules = "[" ONE_BLANK("") "]",
      .steps = MARKED,
      .single = "A0 eos0",
      .pair = "A0 B0 eos0" },
};

/* Some give the pieces other ids, each in its own way; others go through a tokenizer written in Python, with rules of
 * its own around the library's ids. */
static const char refused_classes[] =
    "BartphoTokenizer BertGenerationTokenizer BigBirdTokenizer CpmTokenizer DebertaV2Tokenizer FNetTokenizer "
    "GPTSw3Tokenizer "
    "LasrTokenizer LayoutXLMTokenizer M2M100Tokenizer MarianTokenizer MLukeTokenizer ParakeetTokenizer PLBartTokenizer "
    "ReformerTokenizer RemBertTokenizer SeamlessM4TTokenizer Siglip2Tokenizer SiglipTokenizer Speech2TextTokenizer "
    "SpeechT5Tokenizer Tipsv2Tokenizer UdopTokenizer VideoPrismTokenizer XGLMTokenizer";

const sentencepiece_class *sentencepiece_class_of(const folder_tokens *f, bool *refused)
{
    *refused = folder_is_class(f, refused_classes, "");
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (folder_is_class(f, classes[i].names, classes[i].types))
            return &classes[i];
    return NULL;
}
