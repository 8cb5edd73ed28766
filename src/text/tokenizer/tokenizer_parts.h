/* tokenizer_parts.h: what a tokenizer is made of, for the files that build one and the files that run it. Each stage is
 * an array of small tagged steps (normalise, split, post-process, decode) around one model, so that a file's components
 * become steps one by one and a new component is a new tag. The stages work on a `passage`: the text as it is now,
 * where each of its bytes came from, and the pieces it is cut into. Nothing is changed after opening. */
#ifndef LORAC_TOKENIZER_PARTS_H
#define LORAC_TOKENIZER_PARTS_H

#include "arena.h"
#include "err.h"
#include "mem.h"
#include "passage.h"
#include "pattern.h"
#include "precompiled.h"
#include "sentencepiece_spacing.h"
#include "tokenizer.h"
#include "unigram.h"
#include "word_model.h"

/* ---- Normalisers */

typedef enum normalise_kind {
    NORMALISE_NFC,
    NORMALISE_NFD,
    NORMALISE_NFKC,
    NORMALISE_NFKD,
    NORMALISE_LOWERCASE,
    NORMALISE_REPLACE,
    NORMALISE_PREPEND,
    NORMALISE_BYTES,
    NORMALISE_STRIP,
    NORMALISE_STRIP_MARKS,
    NORMALISE_STRIP_ACCENTS, /* BERT's: of a text in NFD */
    NORMALISE_CLEAN,         /* BERT's: no controls, every white space a blank */
    NORMALISE_CHINESE,       /* BERT's: blanks around ideographs */
    NORMALISE_NMT, /* control characters go, other blanks and marks of order become blanks (SentencePiece's "nmt") */
    NORMALISE_PRECOMPILED,
    NORMALISE_SENTENCEPIECE,
    NORMALISE_LLAMA_BLANKS /* those of a unigram model */
} normalise_kind;

typedef struct normalise_step {
    normalise_kind kind;
    pattern pattern;               /* REPLACE */
    slice content;                 /* REPLACE, PREPEND */
    bool strip_left, strip_right;  /* STRIP */
    const precompiled *rules;      /* PRECOMPILED */
    sentencepiece_spacing spacing; /* SENTENCEPIECE */
    bool prefix, squeeze;          /* LLAMA_BLANKS */
} normalise_step;

/* Every span without an id goes through the step. `next` is scratch. */
int normalise_run(const normalise_step *step, passage *p, passage *next, matcher *m);
/* Those of single characters, from STRIP on: one span, added to `next`. */
int normalise_characters(const normalise_step *step, const passage *p, const span *s, passage *next);

/* ---- Splitting into words */

typedef enum split_behaviour {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS
} split_behaviour;

typedef enum split_kind {
    SPLIT_PATTERN,
    SPLIT_CHARACTERS, /* every character of a kind is a match */
    SPLIT_WORDS,      /* runs of \w, and of neither \w nor white space */
    SPLIT_SCRIPTS,    /* where the script changes */
    SPLIT_LENGTH,     /* every `length` characters */
    SPLIT_GROUPS,     /* llama.cpp's threes of a number, counted from its end */
    SPLIT_PREFIX,     /* these rewrite the text: `content` in front, unless it is there */
    SPLIT_BLANKS,     /* every blank is `content` */
    SPLIT_TO_BYTES,   /* the byte alphabet */
    SPLIT_LLAMA_BERT  /* words in llama.cpp's way for BERT, each with U+2581 in front */
} split_kind;

typedef struct split_step {
    split_kind kind;
    pattern pattern;            /* PATTERN */
    split_behaviour behaviour;  /* PATTERN, CHARACTERS */
    bool invert;                /* PATTERN: the matches are the words, the rest separates */
    bool only_first;            /* PREFIX: where the text begins */
    bool (*is_match)(uint32_t); /* CHARACTERS */
    slice content;              /* PREFIX, BLANKS */
    size_t length;              /* LENGTH */
    bool ascii;                 /* GROUPS: of the digits 0 to 9 */
    bool lowercase, accents;    /* LLAMA_BERT; accents: they are left out */
} split_step;

int split_run(const split_step *step, passage *p, passage *next, matcher *m);

/* ---- GPT-2's byte alphabet: every byte is a printable character, so that strings in a vocabulary can hold any bytes
 */

int byte_of_letter(uint32_t c); /* or -1 */
/* Appends the letters of the bytes of span s, as a span. */
int passage_write_letters(passage *p, const passage *from, const span *s);

/* ---- Added tokens */

typedef struct added_token {
    slice text; /* as it is looked for */
    int32_t id;
    bool single_word, strip_left, strip_right;
} added_token;

typedef enum added_order {
    ADDED_LEFTMOST, /* Hugging Face: the leftmost, and of these the longest */
    ADDED_LONGEST   /* llama.cpp: the longest anywhere, then the leftmost */
} added_order;

typedef struct trie_node {
    int32_t child, sibling, token;
    uint8_t byte;
} trie_node;

typedef struct added_tokens {
    added_token *tokens;
    size_t count, capacity;
    trie_node *nodes;
    size_t node_count, node_capacity;
    int32_t roots[256]; /* node of the first byte, 0: none (node 0 is unused) */
    added_order order;
} added_tokens;

int added_add(added_tokens *a, added_token token);
int added_find(const added_tokens *a, passage *p, passage *next);
void added_free(added_tokens *a);

/* ---- What is put around the ids */

typedef enum post_kind { POST_TRIM, POST_TEMPLATE } post_kind;

enum { POST_FIRST = -1, POST_SECOND = -2 }; /* instead of an id: the texts themselves */

typedef struct post_piece {
    int32_t id;
    uint8_t type;
} post_piece;

typedef struct post_step {
    post_kind kind;
    bool add_prefix_space;     /* TRIM: the first space may be ours */
    post_piece *single, *pair; /* TEMPLATE: around one text, and two; pair may be NULL */
    size_t single_count, pair_count;
} post_step;

int encoding_reserve(encoding *e, size_t more_ids);
/* On the ids from `from` on, which stand for `text`. */
void post_trim(const post_step *step, const vocabulary *v, slice text, encoding *e, size_t from);
/* Puts the templates around the ids from `from` on and, where there is one, those of a second text. */
int post_surround(const tokenizer *t, const encoding *second, bool add_special, encoding *e, size_t from);

/* ---- From tokens back to text */

/* Each step makes new strings of the tokens' strings, in the order of the file, as Hugging Face's decoders do; what is
 * left at the end is joined. */
typedef enum decode_kind {
    DECODE_BYTES,         /* the byte alphabet undone, over all strings together */
    DECODE_BYTE_FALLBACK, /* "<0x0A>" is that byte; a run of them that is not UTF-8 is U+FFFD for each */
    DECODE_FUSE,          /* one string of all */
    DECODE_REPLACE,
    DECODE_STRIP,      /* up to `start` and `stop` of `content` from the ends of every string */
    DECODE_METASPACE,  /* `content` is a blank, but not before the first token */
    DECODE_WORDPIECE,  /* a blank before every string that does not begin with `content`; tidy: none before punctuation
                        */
    DECODE_SUFFIX,     /* `content` at the end of a token is a blank, at the very end nothing */
    DECODE_CTC,        /* neighbours that are equal are one, `pad` is nothing, `content` a blank */
    DECODE_SPACES,     /* a blank between all (files without a decoder) */
    DECODE_BLANKS,     /* U+2581 is a blank; prefixed: the first token loses one at its beginning */
    DECODE_LLAMA_TIDY, /* what llama.cpp does to a whole text */
    DECODE_SENTENCEPIECE /* U+2581 is a blank, but not at the very beginning; bytes that are no characters are U+FFFD
                            each */
} decode_kind;

typedef struct decode_step {
    decode_kind kind;
    pattern pattern; /* REPLACE */
    slice content, pad;
    size_t start, stop;
    bool tidy;     /* WORDPIECE, CTC; SENTENCEPIECE: no blanks at all at the beginning */
    bool prefixed; /* METASPACE, BLANKS, SENTENCEPIECE: the first blank was put there by the encoder */
} decode_step;

int byte_of_token(slice token); /* "<0xHH>", or -1 */

/* ---- The whole */

enum { ROLE_COUNT = 6 };
extern const char *const tokenizer_role_names[ROLE_COUNT]; /* "bos_token" and so on */

/* A chat template and the file it stands in, for messages. */
typedef struct named_template {
    const char *name, *file;
    slice text;
} named_template;

struct tokenizer {
    const char *path;  /* for messages */
    const char *notes; /* NULL, or lines on what was left out */
    size_t renumbered; /* added tokens that have another id than their file says */
    arena memory;
    vocabulary vocabulary;
    added_tokens added, added_normalised; /* looked for before and after the normalisers */
    normalise_step *normalise;
    split_step *split;
    post_step *post;
    size_t normalise_count, split_count, post_count;
    bool begins;          /* every text, with bos, unless add_bos_token says otherwise */
    bool keeps_templates; /* whatever add_bos_token says: the file or its class in transformers has its own */
    word_model model;
    decode_step *decode;
    size_t decode_count;
    int32_t roles[ROLE_COUNT];
    int32_t *ends;
    size_t end_count;
    named_template *templates;
    size_t template_count;
    json_t *variables; /* of templates: "bos_token" and the like; or NULL */
};

/* An empty one, named `path` in messages. On failure of what follows: tokenizer_free. */
int tokenizer_new(tokenizer **out, const char *path);
int tokenizer_allocate(tokenizer *t, size_t count); /* the vocabulary's tables */
/* Makes `token` the string of `id`; both must be new. The bytes must outlive the tokenizer (its arena). */
int tokenizer_put(tokenizer *t, int32_t id, slice token, uint8_t flags, const char *key);
int tokenizer_note(tokenizer *t, const char *line); /* the arena's */
int tokenizer_add_end(tokenizer *t, int64_t id);    /* once each */
/* One more step, of nothing but its kind. *out stands until the next of its sort. */
int tokenizer_add_normalise(tokenizer *t, normalise_kind kind, normalise_step **out);
int tokenizer_add_split(tokenizer *t, split_kind kind, split_step **out);
int tokenizer_add_post(tokenizer *t, post_kind kind, post_step **out);
int tokenizer_add_decode(tokenizer *t, decode_kind kind, decode_step **out);
/* Puts these ids around every text, each of a pair, whose second has the type `second`; -1: none. */
int tokenizer_surround(tokenizer *t, int32_t before, int32_t after, uint8_t second);

/* Chat templates and their variables, from a folder's files, from what its JSON files say, and from a GGUF file. What
 * came first counts; the files shut out those of the JSON. */
int tokenizer_read_template_files(tokenizer *t, const char *folder);
int tokenizer_read_templates(tokenizer *t, const json_t *config, const char *file);
int tokenizer_read_variables(tokenizer *t, const json_t *config);
int tokenizer_gguf_templates(tokenizer *t, const gguf *g);
int tokenizer_write_templates(const tokenizer *t, const char *folder);
int tokenizer_put_templates(const tokenizer *t, gguf_writer *w);

/* From vocab.json at `path`, merges.txt and what is beside them in `folder`: byte-level BPE, as in GPT-2. */
int tokenizer_open_vocab_json(tokenizer **out, const char *path, const char *folder);
/* From vocab.txt at `path` and what is beside it in `folder`: BERT's tokenizers from before tokenizer.json. */
int tokenizer_open_vocab_txt(tokenizer **out, const char *path, const char *folder);
/* From the bytes of a SentencePiece model alone: ids are those of the sentencepiece library, and its control symbols
 * are found in texts. */
int tokenizer_from_sentencepiece(tokenizer **out, slice bytes, const char *path);
/* The model in a Hugging Face folder, with what transformers makes of it. */
int tokenizer_open_sentencepiece(tokenizer **out, const char *path, const char *folder);
/* From the text of a tokenizer.json alone. */
int tokenizer_open_json(tokenizer **out, slice text, const char *path);
int tokenizer_open_json_file(tokenizer **out, const char *path);
/* tokenizer_config.json and its companions, beside tokenizer.json. */
int tokenizer_read_config(tokenizer *t, const char *folder);

#endif
