/* tokenizer_parts.h: what a tokenizer is made of, for the files that build one and the files that run it. Each stage is
 * an array of small tagged steps (normalise, split, post-process, decode) around one model, so that a file's components
 * become steps one by one and a new component is a new tag. The stages work on a `passage`: the text as it is now,
 * where each of its bytes came from, and the pieces it is cut into. Nothing is changed after opening. */
#ifndef LORAC_TOKENIZER_PARTS_H
#define LORAC_TOKENIZER_PARTS_H

#include "arena.h"
#include "err.h"
#include "map.h"
#include "mem.h"
#include "tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* ---- Vocabulary */

/* How a token is decoded, and whether a text may name it. */
enum {
    TOKEN_ADDED = 1,    /* found in text before anything else */
    TOKEN_SPECIAL = 2,  /* left out by skip_special */
    TOKEN_VERBATIM = 4, /* decoded as it stands */
    TOKEN_BYTE = 8,     /* "<0xHH>": decoded as that byte */
    TOKEN_SILENT = 16   /* decoded as nothing */
};

enum { VOCABULARY_MOST = 1 << 24, ADDED_TOKEN_LONGEST = 1024 };

typedef struct vocabulary {
    slice *token;    /* by id; p NULL: no such id */
    slice *spelling; /* NULL, or by id what decoding takes for the token where that is another string */
    uint8_t *flags;
    int32_t count;
    map ids;
} vocabulary;

/* ---- A text on its way */

typedef struct aligned_text {
    char *p;
    uint32_t *begin, *end; /* by byte: the part of the original text it stands for */
    size_t n, capacity;
} aligned_text;

/* Bytes [begin, end) of the text; id is that of an added token, or -1 for text still to be worked on. */
typedef struct span {
    size_t begin, end;
    int32_t id;
} span;

typedef struct passage {
    aligned_text text;
    size_t most; /* bytes it may grow to */
    span *spans;
    size_t count, capacity;
} passage;

/* The whole of `text` as one span, invalid bytes replaced by U+FFFD; `next` is the scratch of later stages. Both start
 * as {0}. */
int passage_start(passage *p, passage *next, slice text);
void passage_free(passage *p);
void passage_swap(passage *a, passage *b);
void passage_clear(passage *p);
void passage_take_spans(passage *p, passage *next); /* the text stays, the spans are those of `next` */
int passage_add_span(passage *p, size_t begin, size_t end, int32_t id);
/* Appends bytes that all stand for the same part of the original. */
int passage_add_bytes(passage *p, const char *bytes, size_t n, uint32_t begin, uint32_t end);
/* Appends the bytes of span s of `from`, their alignment kept; passage_copy_span then the span itself, too. */
int passage_copy_bytes(passage *p, const passage *from, const span *s);
int passage_copy_span(passage *p, const passage *from, const span *s);
slice passage_slice(const passage *p, const span *s);
uint32_t character_known(uint32_t c); /* c, or an older character like it */
uint32_t character_lower(uint32_t c);
bool character_is_normal_form_news(uint32_t c); /* without decomposition or combining class for the peer's tables */
bool character_is_space(uint32_t c);            /* White_Space of Unicode */
bool character_is_word(uint32_t c);             /* \w as Rust's regex crate has it */
bool character_is_number(uint32_t c);           /* categories Nd, Nl, No */

/* ---- Patterns */

typedef struct pattern {
    slice literal; /* p NULL: the expression */
    pcre2_code *code;
} pattern;

/* `where` names the expression in messages. MULTILINE: ^ and $ are about lines, as in Ruby's syntax. */
int pattern_compile(pattern *out, slice expression, const char *file, const char *where);
void pattern_free(pattern *p);

/* Walks over the matches in one text. */
typedef struct matcher {
    const pattern *pattern;
    pcre2_match_data *data; /* made by the first use, kept for all */
    pcre2_match_context *limits;
    buf shadow; /* the text with stand-ins, where it needs them */
    slice text;
    size_t at, last_end;
} matcher;

int matcher_start(matcher *m, const pattern *p, slice text);
/* *found is false at the end. */
int matcher_next(matcher *m, size_t *begin, size_t *end, bool *found);
void matcher_free(matcher *m);

/* ---- Normalisers */

typedef enum normalise_kind {
    NORMALISE_NFC,
    NORMALISE_NFD,
    NORMALISE_NFKC,
    NORMALISE_NFKD,
    NORMALISE_LOWERCASE,
    NORMALISE_REPLACE,
    NORMALISE_PREPEND,
    NORMALISE_BYTES
} normalise_kind;

typedef struct normalise_step {
    normalise_kind kind;
    pattern pattern; /* REPLACE */
    slice content;   /* REPLACE, PREPEND */
} normalise_step;

/* Every span without an id goes through the step. `next` is scratch. */
int normalise_run(const normalise_step *step, passage *p, passage *next, matcher *m);

/* ---- Splitting into words */

typedef enum split_behaviour {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS
} split_behaviour;

typedef enum split_kind { SPLIT_PATTERN, SPLIT_DIGITS, SPLIT_PREFIX_SPACE, SPLIT_TO_BYTES } split_kind;

typedef struct split_step {
    split_kind kind;
    pattern pattern;           /* PATTERN */
    split_behaviour behaviour; /* PATTERN, DIGITS */
    bool invert;               /* PATTERN: the matches are the words, the rest separates */
} split_step;

int split_run(const split_step *step, passage *p, passage *next, matcher *m);

/* ---- GPT-2's byte alphabet: every byte is a printable character, so that strings in a vocabulary can hold any bytes
 */

uint32_t byte_letter(uint8_t byte);
int byte_of_letter(uint32_t c); /* or -1 */
int passage_add_letters(passage *p, const passage *from, size_t begin, size_t end);

/* ---- Byte-pair encoding */

typedef struct bpe_merge {
    uint64_t pair;
    uint32_t rank_plus_one;
    int32_t id;
} bpe_merge; /* 0: an empty slot */

typedef struct bpe {
    bpe_merge *merges;
    size_t capacity;        /* a power of two */
    int32_t letters[0x200]; /* the ids of U+0000 .. U+01FF alone, or -1 */
    int32_t unknown;        /* or -1: characters without a token vanish */
    bool fuse_unknown, ignore_merges;
} bpe;

int bpe_open(bpe *b, const vocabulary *v, size_t merge_count);
void bpe_free(bpe *b);
/* Adds "left right" of this rank. When the pair is there already it stays or gives way. */
int bpe_add_merge(bpe *b, const vocabulary *v, buf *scratch, slice left, slice right, uint32_t rank, bool last_wins,
                  const fault *where);

typedef struct bpe_run bpe_run;
/* Scratch of one encode: the merge queue, and the words met so far. */
int bpe_run_open(bpe_run **out, const bpe *b, const vocabulary *v, size_t text_length);
void bpe_run_free(bpe_run *r);
/* The ids of one word, each with its bytes in the word. */
typedef struct word_token {
    int32_t id;
    uint32_t begin, end;
} word_token;
int bpe_word(bpe_run *r, slice word, const word_token **tokens, size_t *count);

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

typedef struct post_piece {
    int32_t id;
    uint8_t type;
} post_piece; /* id -1: the text itself */

typedef struct post_step {
    post_kind kind;
    bool add_prefix_space; /* TRIM: the first space may be ours */
    post_piece *pieces;    /* TEMPLATE */
    size_t count;
} post_step;

int encoding_reserve(encoding *e, size_t more_ids);
/* On the ids from `from` on, which stand for `text`. */
int post_run(const post_step *step, const vocabulary *v, slice text, bool add_special, encoding *e, size_t from);

/* ---- From tokens back to text */

typedef enum decode_kind {
    DECODE_JOIN, /* no decoder: the tokens with spaces between */
    DECODE_BYTES /* the byte alphabet undone */
} decode_kind;

int byte_of_token(slice token); /* "<0xHH>", or -1 */

/* ---- The whole */

enum { ROLE_COUNT = 4 };

struct tokenizer {
    const char *path; /* for messages */
    arena memory;
    vocabulary vocabulary;
    added_tokens added, added_normalised; /* looked for before and after the normalisers */
    normalise_step *normalise;
    split_step *split;
    post_step *post;
    size_t normalise_count, split_count, post_count;
    bpe bpe;
    decode_kind decode;
    int32_t roles[ROLE_COUNT];
    int32_t *ends;
    size_t end_count;
    slice chat_template;
    const char *chat_template_file;
};

/* An empty one, named `path` in messages. On failure of what follows: tokenizer_free. */
int tokenizer_new(tokenizer **out, const char *path);
int tokenizer_allocate(tokenizer *t, size_t count); /* the vocabulary's tables */
/* Makes `token` the string of `id`; both must be new. The bytes must outlive the tokenizer (its arena). */
int tokenizer_put(tokenizer *t, int32_t id, slice token, uint8_t flags, const char *key);
int tokenizer_add_end(tokenizer *t, int64_t id); /* once each */
normalise_step *tokenizer_more_normalise(tokenizer *t);
split_step *tokenizer_more_split(tokenizer *t);
post_step *tokenizer_more_post(tokenizer *t);
/* Puts these ids around every text; -1: none. */
int tokenizer_surround(tokenizer *t, int32_t before, int32_t after);

/* From the text of a tokenizer.json alone. */
int tokenizer_open_json(tokenizer **out, slice text, const char *path);
/* tokenizer_config.json and its companions, beside tokenizer.json. */
int tokenizer_read_config(tokenizer *t, const char *folder);

#endif
