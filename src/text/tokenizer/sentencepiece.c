/* sentencepiece.c: the protobuf message of a SentencePiece model (sentencepiece_model.proto): ModelProto with its
 * pieces, TrainerSpec and NormalizerSpec. Fields that do not matter here are skipped; those that do must have their own
 * type. */
#include "sentencepiece.h"

#include "err.h"

#include <math.h>
#include <string.h>

/* ---- The wire format */

enum { PIECES_MOST = 1 << 24 };

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* A message within the file. */
typedef struct message {
    const char *path;
    slice file;
    size_t at, end;
} message;

typedef struct field {
    uint32_t number;
    int type;
    uint64_t value;    /* VARINT, FIXED32 */
    size_t begin, end; /* BYTES */
    size_t at;         /* where the field begins, for messages */
} field;

static int fail_there(const message *m, size_t at, const char *sentence)
{
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = m->path }, "at byte %zu: %s", at, sentence);
}

static int take_varint(message *m, uint64_t *out)
{
    size_t start = m->at;
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (m->at == m->end)
            return fail_there(m, start, "the file ends within a number; it is cut off or no SentencePiece model");
        uint8_t byte = (uint8_t)m->file.p[m->at++];
        *out |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return LORAC_OK;
    }
    return fail_there(m, start, "a number has more than 64 bits; this is no SentencePiece model");
}

static int take_bytes(message *m, uint64_t n, field *f)
{
    if (n > m->end - m->at)
        return fail_there(m, f->at,
                          "a field is longer than what it stands in; the file is cut off or no SentencePiece "
                          "model");
    f->begin = m->at;
    m->at += (size_t)n;
    f->end = m->at;
    return LORAC_OK;
}

/* *more is false at the end of the message. */
static int next_field(message *m, field *f, bool *more)
{
    uint64_t key;
    *more = m->at < m->end;
    if (!*more)
        return LORAC_OK;
    *f = (field){ .at = m->at };
    TRY(take_varint(m, &key));
    f->type = (int)(key & 7);
    f->number = (uint32_t)(key >> 3);
    if (key >> 3 == 0 || key >> 3 > 1u << 29)
        return fail_there(m, f->at, "a field has no number; this is no SentencePiece model");
    if (f->type == WIRE_VARINT)
        return take_varint(m, &f->value);
    if (f->type == WIRE_BYTES) {
        uint64_t n;
        TRY(take_varint(m, &n));
        return take_bytes(m, n, f);
    }
    if (f->type != WIRE_FIXED32 && f->type != WIRE_FIXED64)
        return fail_there(m, f->at, "a field is of a type that SentencePiece models do not have");
    TRY(take_bytes(m, f->type == WIRE_FIXED32 ? 4 : 8, f));
    for (size_t i = f->end; i-- > f->begin;)
        f->value = f->value << 8 | (uint8_t)m->file.p[i];
    return LORAC_OK;
}

static int expect(const message *m, const field *f, int type)
{
    return f->type == type ? LORAC_OK
                           : fail_there(m, f->at, "a field is of another type than in a SentencePiece model");
}

static message inner(const message *m, const field *f)
{
    return (message){ m->path, m->file, f->begin, f->end };
}

static int take_text(const message *m, const field *f, slice *out)
{
    TRY(expect(m, f, WIRE_BYTES));
    *out = (slice){ m->file.p + f->begin, f->end - f->begin };
    return LORAC_OK;
}

static int take_flag(const message *m, const field *f, bool *out)
{
    TRY(expect(m, f, WIRE_VARINT));
    *out = f->value != 0;
    return LORAC_OK;
}

static int take_id(const message *m, const field *f, int64_t *out)
{
    TRY(expect(m, f, WIRE_VARINT));
    *out = (int64_t)f->value;
    return LORAC_OK;
}

/* ---- The messages */

static int read_type(const message *m, const field *f, uint64_t most, int *out)
{
    TRY(expect(m, f, WIRE_VARINT));
    if (f->value < 1 || f->value > most)
        return fail_there(m, f->at, "a piece or a model is of a type that is not known");
    *out = (int)f->value;
    return LORAC_OK;
}

static int read_score(const message *m, const field *f, float *out)
{
    TRY(expect(m, f, WIRE_FIXED32));
    uint32_t bits = (uint32_t)f->value;
    memcpy(out, &bits, sizeof *out);
    return isfinite(*out) ? LORAC_OK : fail_there(m, f->at, "the score of a piece is not a number");
}

static int read_piece(message m, piece *out)
{
    int type = PIECE_NORMAL;
    size_t start = m.at;
    field f;
    for (bool more;;) {
        TRY(next_field(&m, &f, &more));
        if (!more)
            break;
        if (f.number == 1)
            TRY(take_text(&m, &f, &out->text));
        else if (f.number == 2)
            TRY(read_score(&m, &f, &out->score));
        else if (f.number == 3)
            TRY(read_type(&m, &f, PIECE_BYTE, &type));
    }
    out->type = (piece_type)type;
    if (!out->text.n)
        return fail_there(&m, start, "a piece is empty");
    return utf8_valid(out->text) == out->text.n ? LORAC_OK : fail_there(&m, start, "a piece is not UTF-8");
}

static int read_trainer(message m, sentencepiece *out)
{
    int kind = (int)out->kind;
    field f;
    for (bool more;;) {
        TRY(next_field(&m, &f, &more));
        if (!more)
            break;
        switch (f.number) {
        case 3:
            TRY(read_type(&m, &f, SENTENCEPIECE_CHAR, &kind));
            break;
        case 24:
            TRY(take_flag(&m, &f, &out->blank_behind));
            break;
        case 35:
            TRY(take_flag(&m, &f, &out->byte_fallback));
            break;
        case 40:
            TRY(take_id(&m, &f, &out->unknown));
            break;
        case 41:
            TRY(take_id(&m, &f, &out->begin));
            break;
        case 42:
            TRY(take_id(&m, &f, &out->end));
            break;
        case 43:
            TRY(take_id(&m, &f, &out->pad));
            break;
        case 44:
            TRY(take_text(&m, &f, &out->unknown_surface));
            break;
        case 46:
            TRY(take_text(&m, &f, &out->begin_text));
            break;
        case 47:
            TRY(take_text(&m, &f, &out->end_text));
            break;
        case 48:
            TRY(take_text(&m, &f, &out->pad_text));
            break;
        default:
            break;
        }
    }
    out->kind = (sentencepiece_kind)kind;
    return LORAC_OK;
}

static int read_normaliser(message m, sentencepiece *out)
{
    field f;
    for (bool more;;) {
        TRY(next_field(&m, &f, &more));
        if (!more)
            return LORAC_OK;
        if (f.number == 2)
            TRY(take_text(&m, &f, &out->rules));
        else if (f.number == 3)
            TRY(take_flag(&m, &f, &out->add_blank));
        else if (f.number == 4)
            TRY(take_flag(&m, &f, &out->squeeze));
        else if (f.number == 5)
            TRY(take_flag(&m, &f, &out->escape));
    }
}

static int read_restorer(message m, sentencepiece *out)
{
    sentencepiece other = { 0 };
    TRY(read_normaliser(m, &other));
    out->restores = other.rules.n > 0;
    return LORAC_OK;
}

static int count_pieces(message m, size_t *count)
{
    field f;
    *count = 0;
    for (bool more;;) {
        TRY(next_field(&m, &f, &more));
        if (!more)
            return LORAC_OK;
        if (f.number == 1)
            TRY(expect(&m, &f, WIRE_BYTES));
        *count += f.number == 1;
    }
}

static int read_model(message m, sentencepiece *out)
{
    static int (*const readers[])(message,
                                  sentencepiece *) = { [2] = read_trainer, [3] = read_normaliser, [5] = read_restorer };
    field f;
    for (bool more;;) {
        TRY(next_field(&m, &f, &more));
        if (!more)
            return LORAC_OK;
        if (f.number == 1) {
            TRY(read_piece(inner(&m, &f), &out->pieces[out->count++]));
        } else if (f.number < sizeof readers / sizeof *readers && readers[f.number]) {
            TRY(expect(&m, &f, WIRE_BYTES));
            TRY(readers[f.number](inner(&m, &f), out));
        }
    }
}

int sentencepiece_parse(sentencepiece *out, slice bytes, arena *a, const char *path)
{
    size_t count;
    message m = { path, bytes, 0, bytes.n };
    *out = (sentencepiece){
        .kind = SENTENCEPIECE_UNIGRAM,
        .begin = 1,
        .end = 2,
        .pad = -1,
        .begin_text = slice_of("<s>"),
        .end_text = slice_of("</s>"),
        .pad_text = slice_of("<pad>"),
        .unknown_surface = slice_of(" \u2047 "),
        .add_blank = true,
        .squeeze = true,
        .escape = true,
    };
    char *copy = arena_text(a, bytes.p, bytes.n);
    out->path = arena_text(a, path, strlen(path));
    if (!out->path || !copy)
        return fail_memory();
    m.file.p = copy;
    TRY(count_pieces(m, &count));
    if (!count || count > PIECES_MOST)
        return fail_at(LORAC_ERROR_DATA, (fault){ .file = path }, "this is no SentencePiece model: it has %zu pieces",
                       count);
    out->pieces = arena_new(a, count, sizeof *out->pieces);
    if (!out->pieces)
        return fail_memory();
    TRY(read_model(m, out));
    /* What stood behind a piece has been read: the next field's key, or the end. */
    for (size_t i = 0; i < out->count; i++)
        copy[out->pieces[i].text.p - copy + (ptrdiff_t)out->pieces[i].text.n] = '\0';
    return LORAC_OK;
}
