/* tokenizer_json_decoder.c: the decoder of a tokenizer.json as steps. The names and fields are those of Hugging Face's
 * tokenizers. */
#include "tokenizer_json.h"

#include <string.h>

static int read_text(tokenizer *t, part p, const char *key, slice *out)
{
    part member;
    TRY(part_member(t, p, key, &member));
    return part_text(t, member, out);
}

/* "content", "start", "stop". */
static int read_strip(tokenizer *t, part p, decode_step *step)
{
    int64_t start = 0, stop = 0;
    TRY(read_text(t, p, "content", &step->content));
    TRY(part_int(t, p, "start", 0, INT32_MAX, &start));
    TRY(part_int(t, p, "stop", 0, INT32_MAX, &stop));
    step->start = (size_t)start;
    step->stop = (size_t)stop;
    return LORAC_OK;
}

static int read_replace(tokenizer *t, part p, decode_step *step)
{
    TRY(part_pattern(t, p, &step->pattern));
    return read_text(t, p, "content", &step->content);
}

/* Files before 2024 say add_prefix_space, later ones prepend_scheme. */
static int read_metaspace(tokenizer *t, part p, decode_step *step)
{
    const char *scheme = "always";
    bool prefixed = true;
    TRY(read_text(t, p, "replacement", &step->content));
    TRY(part_bool(t, p, "add_prefix_space", &prefixed));
    TRY(part_name(t, p, "prepend_scheme", &scheme));
    step->prefixed = prefixed && strcmp(scheme, "never") != 0;
    return LORAC_OK;
}

static int read_wordpiece(tokenizer *t, part p, decode_step *step)
{
    step->tidy = true;
    TRY(read_text(t, p, "prefix", &step->content));
    return part_bool(t, p, "cleanup", &step->tidy);
}

static int read_suffix(tokenizer *t, part p, decode_step *step)
{
    return read_text(t, p, "suffix", &step->content);
}

static int read_ctc(tokenizer *t, part p, decode_step *step)
{
    step->tidy = true;
    TRY(read_text(t, p, "pad_token", &step->pad));
    TRY(read_text(t, p, "word_delimiter_token", &step->content));
    return part_bool(t, p, "cleanup", &step->tidy);
}

int build_decoder(tokenizer *t, part p)
{
    static const struct {
        const char *type;
        decode_kind kind;
        int (*read)(tokenizer *, part, decode_step *);
    } decoders[] = {
        { "ByteLevel", DECODE_BYTES, NULL },
        { "ByteFallback", DECODE_BYTE_FALLBACK, NULL },
        { "Fuse", DECODE_FUSE, NULL },
        { "Replace", DECODE_REPLACE, read_replace },
        { "Strip", DECODE_STRIP, read_strip },
        { "Metaspace", DECODE_METASPACE, read_metaspace },
        { "WordPiece", DECODE_WORDPIECE, read_wordpiece },
        { "BPEDecoder", DECODE_SUFFIX, read_suffix },
        { "CTC", DECODE_CTC, read_ctc },
    };
    const char *type;
    TRY(part_type(t, p, &type));
    if (!strcmp(type, "Sequence"))
        return part_each(t, p, "decoders", build_decoder);
    for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++) {
        if (strcmp(type, decoders[i].type) != 0)
            continue;
        decode_step *step;
        TRY(tokenizer_add_decode(t, decoders[i].kind, &step));
        return decoders[i].read ? decoders[i].read(t, p, step) : LORAC_OK;
    }
    return part_refuse(t, p, type);
}
