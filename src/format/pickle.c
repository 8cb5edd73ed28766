/* pickle.c: a machine for the opcodes that torch.save writes, protocols 2 to 5 (Python's pickletools describes each).
 * It is a loop without recursion; stack, memo and values have limits, and a value is made once however often it is
 * used, so that memory follows the pickle's length. An opcode that is not here is refused by its name. */
#include "pickle.h"

#include "array.h"
#include "err.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

enum {
    VALUE_LIMIT = 1 << 21, /* a tensor takes about twenty */
    STACK_LIMIT = 1 << 20,
    MEMO_LIMIT = 1 << 20,
    NAME_LIMIT = 256 /* bytes of module and name, each */
};

typedef struct machine {
    const char *path;
    const uint8_t *start, *p, *end;
    bool (*allowed)(slice name);
    arena *memory;
    size_t values;
    pickle_value **stack;
    size_t depth, stack_room;
    pickle_value **memo; /* NULL where nothing was put */
    size_t memo_room, memo_count;
    bool stopped;
} machine;

static const char *const kind_names[] = {
    [PICKLE_NONE] = "None",    [PICKLE_BOOL] = "a bool",          [PICKLE_INT] = "an integer",
    [PICKLE_REAL] = "a float", [PICKLE_TEXT] = "a string",        [PICKLE_TUPLE] = "a tuple",
    [PICKLE_LIST] = "a list",  [PICKLE_DICT] = "a dict",          [PICKLE_GLOBAL] = "a function or class",
    [PICKLE_CALL] = "a call",  [PICKLE_PERSISTENT] = "a storage", [PICKLE_MARK] = "a mark",
};

const char *pickle_kind_name(const pickle_value *v)
{
    return kind_names[v->kind];
}

static int broken(const machine *m, const char *what)
{
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = m->path, .hint = "The file is damaged, or was not made by torch.save" },
                   "the pickle %s at its byte %zu", what, (size_t)(m->p - m->start));
}

/* ---- Bytes */

static int take(machine *m, size_t bytes, const uint8_t **out)
{
    if (bytes > (size_t)(m->end - m->p))
        return broken(m, "ends inside an operation");
    *out = m->p;
    m->p += bytes;
    return LORAC_OK;
}

/* A little-endian number of 1 to 8 bytes; `is_signed`: two's complement. */
static int take_number(machine *m, size_t bytes, bool is_signed, int64_t *out)
{
    const uint8_t *p = NULL;
    uint64_t value = 0;

    TRY(take(m, bytes, &p));
    for (size_t i = bytes; i-- > 0;)
        value = value << 8 | p[i];
    if (is_signed && bytes > 0 && bytes < 8 && p[bytes - 1] & 0x80)
        value |= ~(uint64_t)0 << 8 * bytes;
    *out = (int64_t)value;
    return LORAC_OK;
}

static int take_line(machine *m, slice *out)
{
    const uint8_t *end = memchr(m->p, '\n', (size_t)(m->end - m->p));

    if (!end)
        return broken(m, "ends inside a name");
    *out = (slice){ (const char *)m->p, (size_t)(end - m->p) };
    m->p = end + 1;
    return LORAC_OK;
}

/* ---- Stack and memo */

static int new_value(machine *m, pickle_kind kind, pickle_value **out)
{
    if (++m->values > VALUE_LIMIT)
        return broken(m, "describes more than two million values");
    *out = arena_new(m->memory, 1, sizeof **out);
    if (!*out)
        return fail_memory();
    (*out)->kind = kind;
    return LORAC_OK;
}

static int push(machine *m, pickle_value *v)
{
    if (m->depth == STACK_LIMIT)
        return broken(m, "needs a stack of more than a million values");
    TRY(array_room(m->stack, m->stack_room, m->depth + 1));
    m->stack[m->depth++] = v;
    return LORAC_OK;
}

static int push_new(machine *m, pickle_kind kind)
{
    pickle_value *v = NULL;

    TRY(new_value(m, kind, &v));
    return push(m, v);
}

static int push_new_kind(machine *m, size_t kind)
{
    return push_new(m, (pickle_kind)kind);
}

static int push_int(machine *m, pickle_kind kind, int64_t number)
{
    TRY(push_new(m, kind));
    m->stack[m->depth - 1]->integer = number;
    return LORAC_OK;
}

static int pop(machine *m, pickle_value **out)
{
    if (m->depth == 0 || m->stack[m->depth - 1]->kind == PICKLE_MARK)
        return broken(m, "takes a value from an empty stack");
    *out = m->stack[--m->depth];
    return LORAC_OK;
}

static int top(const machine *m, pickle_value **out)
{
    if (m->depth == 0 || m->stack[m->depth - 1]->kind == PICKLE_MARK)
        return broken(m, "uses a value of an empty stack");
    *out = m->stack[m->depth - 1];
    return LORAC_OK;
}

/* Pops everything above the last mark, and the mark; the values stay readable at *items until the next push. */
static int pop_marked(machine *m, pickle_value ***items, size_t *count)
{
    size_t at = m->depth;

    while (at > 0 && m->stack[at - 1]->kind != PICKLE_MARK)
        at--;
    if (at == 0)
        return broken(m, "lacks a mark");
    *items = m->stack + at;
    *count = m->depth - at;
    m->depth = at - 1;
    return LORAC_OK;
}

static int memo_put(machine *m, int64_t index)
{
    pickle_value *v = NULL;

    TRY(top(m, &v));
    if (index < 0 || index >= MEMO_LIMIT)
        return broken(m, "uses a memo of more than a million values");
    if ((size_t)index >= m->memo_room) {
        size_t room = m->memo_room ? m->memo_room : 256;
        pickle_value **grown;

        while (room <= (size_t)index)
            room *= 2;
        grown = mem_grow(m->memo, room, sizeof *grown);
        if (!grown)
            return fail_memory();
        memset(grown + m->memo_room, 0, (room - m->memo_room) * sizeof *grown);
        m->memo = grown;
        m->memo_room = room;
    }
    m->memo_count += !m->memo[index];
    m->memo[index] = v;
    return LORAC_OK;
}

static int memo_get(machine *m, int64_t index)
{
    if (index < 0 || (size_t)index >= m->memo_room || !m->memo[index])
        return broken(m, "reads a place of the memo where nothing is");
    return push(m, m->memo[index]);
}

/* ---- Containers */

static int add_items(machine *m, pickle_value *v, pickle_value **items, size_t count)
{
    if (count > v->capacity - v->count) {
        size_t capacity = 2 * v->count + count;
        pickle_value **grown = arena_new(m->memory, capacity, sizeof *grown);

        if (!grown)
            return fail_memory();
        if (v->count > 0)
            memcpy(grown, v->items, v->count * sizeof *grown);
        v->items = grown;
        v->capacity = capacity;
    }
    if (count > 0)
        memcpy(v->items + v->count, items, count * sizeof *items);
    v->count += count;
    return LORAC_OK;
}

/* The last `count` values become one. */
static int gather(machine *m, pickle_kind kind, size_t count)
{
    pickle_value *v = NULL, *items[3];

    TRY(new_value(m, kind, &v));
    assert(count <= 3);
    for (size_t i = count; i-- > 0;)
        TRY(pop(m, &items[i]));
    TRY(add_items(m, v, items, count));
    return push(m, v);
}

/* The values above the mark become a tuple. */
static int gather_marked(machine *m, size_t n)
{
    pickle_value *v = NULL, **items;
    size_t count;

    (void)n;
    TRY(pop_marked(m, &items, &count));
    TRY(new_value(m, PICKLE_TUPLE, &v));
    TRY(add_items(m, v, items, count));
    return push(m, v);
}

/* `count` values go into the list or dict beneath them; with SIZE_MAX, those above the mark. */
static int extend(machine *m, pickle_kind kind, size_t count)
{
    pickle_value *v = NULL, *pair[2], **items = pair;

    if (count == SIZE_MAX)
        TRY(pop_marked(m, &items, &count));
    else
        for (size_t i = count; i-- > 0;)
            TRY(pop(m, &pair[i]));
    TRY(top(m, &v));
    if (v->kind != kind || (kind == PICKLE_DICT && count % 2 != 0))
        return broken(m, "adds to something that is not a list or a dict");
    return add_items(m, v, items, count);
}

static int gather_tuple(machine *m, size_t count)
{
    return gather(m, PICKLE_TUPLE, count);
}

static int extend_list(machine *m, size_t count)
{
    return extend(m, PICKLE_LIST, count);
}

static int extend_dict(machine *m, size_t count)
{
    return extend(m, PICKLE_DICT, count);
}

/* ---- Names and calls */

static int refuse_name(const machine *m, const char *name)
{
    return fail_at(
        LORAC_ERROR_DATA,
        (fault){ .file = m->path,
                 .found = name,
                 .expected = "only what tensors are made of",
                 .hint = "Nothing of the file was executed. Do not open it with Python; ask for a safetensors file" },
        "the pickle names %s, which is not allowed in a file of tensors", name);
}

static int push_global(machine *m, slice module, slice name)
{
    char *full;

    if (module.n > NAME_LIMIT || name.n > NAME_LIMIT)
        return broken(m, "names something with more than 256 bytes");
    full = arena_format(m->memory, "%.*s.%.*s", (int)module.n, module.p, (int)name.n, name.p);
    if (!full)
        return fail_memory();
    if (!m->allowed(slice_of(full)) && strcmp(full, "collections.OrderedDict") != 0)
        return refuse_name(m, full);
    TRY(push_new(m, PICKLE_GLOBAL));
    m->stack[m->depth - 1]->text = slice_of(full);
    return LORAC_OK;
}

static int global(machine *m, size_t n)
{
    slice module = { 0 }, name = { 0 };

    (void)n;
    TRY(take_line(m, &module));
    TRY(take_line(m, &name));
    return push_global(m, module, name);
}

static int stack_global(machine *m, size_t n)
{
    pickle_value *name = NULL, *module = NULL;

    (void)n;
    TRY(pop(m, &name));
    TRY(pop(m, &module));
    if (name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT)
        return broken(m, "has a STACK_GLOBAL without two strings");
    return push_global(m, module->text, name->text);
}

/* OrderedDict() is a dict; with arguments it is nothing that torch.save writes. All other calls are only noted. */
static int reduce(machine *m, size_t n)
{
    pickle_value *callee = NULL, *arguments = NULL;

    (void)n;
    TRY(pop(m, &arguments));
    TRY(pop(m, &callee));
    if (callee->kind != PICKLE_GLOBAL || arguments->kind != PICKLE_TUPLE)
        return broken(m, "has a REDUCE that does not call a name");
    if (slice_is(callee->text, "collections.OrderedDict")) {
        if (arguments->count > 0)
            return broken(m, "calls collections.OrderedDict with arguments");
        return push_new(m, PICKLE_DICT);
    }
    TRY(push(m, callee));
    TRY(push(m, arguments));
    return gather(m, PICKLE_CALL, 2);
}

/* State is what a module's state_dict carries along as attributes (_metadata); it is dropped. Other objects have none
 * here. */
static int build(machine *m, size_t n)
{
    pickle_value *state = NULL, *v = NULL;
    char what[2 * NAME_LIMIT + 32];

    (void)n;
    TRY(pop(m, &state));
    TRY(top(m, &v));
    if (v->kind == PICKLE_CALL) {
        snprintf(what, sizeof what, "a BUILD on %s", v->items[0]->text.p);
        return refuse_name(m, what);
    }
    return v->kind == PICKLE_DICT ? LORAC_OK : broken(m, "has a BUILD on a value that takes none");
}

/* ---- Texts and numbers */

static int text(machine *m, size_t length_bytes)
{
    const uint8_t *p = NULL;
    int64_t length = 0;

    TRY(take_number(m, length_bytes, false, &length));
    if (length < 0)
        return broken(m, "has a string beyond all bounds");
    TRY(take(m, (size_t)length, &p));
    TRY(push_new(m, PICKLE_TEXT));
    m->stack[m->depth - 1]->text = (slice){ (const char *)p, (size_t)length };
    return LORAC_OK;
}

static int signed_integer(machine *m, size_t bytes)
{
    int64_t value = 0;

    TRY(take_number(m, bytes, true, &value));
    return push_int(m, PICKLE_INT, value);
}

static int unsigned_integer(machine *m, size_t bytes)
{
    int64_t value = 0;

    TRY(take_number(m, bytes, false, &value));
    return push_int(m, PICKLE_INT, value);
}

static int push_bool(machine *m, size_t value)
{
    return push_int(m, PICKLE_BOOL, (int64_t)value);
}

static int long_integer(machine *m, size_t n)
{
    int64_t bytes = 0;

    (void)n;
    TRY(take_number(m, 1, false, &bytes));
    if (bytes > 8)
        return broken(m, "has an integer of more than 64 bits");
    return signed_integer(m, (size_t)bytes);
}

/* Eight bytes, the highest first. */
static int real_number(machine *m, size_t n)
{
    const uint8_t *p = NULL;
    uint64_t bits = 0;

    (void)n;
    TRY(take(m, 8, &p));
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | p[i];
    TRY(push_new(m, PICKLE_REAL));
    memcpy(&m->stack[m->depth - 1]->real, &bits, sizeof bits);
    return LORAC_OK;
}

/* ---- Operations */

static int protocol(machine *m, size_t n)
{
    int64_t version = 0;
    char found[32];

    (void)n;
    TRY(take_number(m, 1, false, &version));
    if (version >= 2 && version <= 5)
        return LORAC_OK;
    snprintf(found, sizeof found, "%lld", (long long)version);
    return fail_at(LORAC_ERROR_DATA, (fault){ .file = m->path, .found = found, .expected = "2 to 5" },
                   "the pickle's protocol is not known");
}

static int frame(machine *m, size_t n)
{
    const uint8_t *length = NULL;

    (void)n;
    return take(m, 8, &length); /* frames only tell how to read ahead */
}

static int put_indexed(machine *m, size_t bytes)
{
    int64_t index = 0;

    TRY(take_number(m, bytes, false, &index));
    return memo_put(m, index);
}

/* MEMOIZE takes the place whose number is how many are taken. */
static int memoize(machine *m, size_t n)
{
    (void)n;
    return memo_put(m, (int64_t)m->memo_count);
}

static int get_indexed(machine *m, size_t bytes)
{
    int64_t index = 0;

    TRY(take_number(m, bytes, false, &index));
    return memo_get(m, index);
}

static int persistent(machine *m, size_t n)
{
    (void)n;
    return gather(m, PICKLE_PERSISTENT, 1);
}

static int stop(machine *m, size_t n)
{
    (void)n;
    m->stopped = true;
    return m->depth == 1 && m->stack[0]->kind != PICKLE_MARK ? LORAC_OK : broken(m, "does not end with one value");
}

/* INST names a class and calls it; the opcode is never written by torch, but its name is worth telling. */
static int instance(machine *m, size_t n)
{
    slice module = { 0 }, name = { 0 };
    char full[2 * NAME_LIMIT];

    (void)n;
    TRY(take_line(m, &module));
    TRY(take_line(m, &name));
    snprintf(full, sizeof full, "%.*s.%.*s", module.n < NAME_LIMIT ? (int)module.n : NAME_LIMIT, module.p,
             name.n < NAME_LIMIT ? (int)name.n : NAME_LIMIT, name.p);
    return refuse_name(m, full);
}

/* clang-format off */
static const char *const refused[256] = {
    ['o'] = "OBJ", ['P'] = "PERSID", ['I'] = "INT", ['L'] = "LONG", ['F'] = "FLOAT", ['S'] = "STRING", ['V'] = "UNICODE",
    ['p'] = "PUT", ['g'] = "GET", ['l'] = "LIST", ['d'] = "DICT", ['0'] = "POP", ['1'] = "POP_MARK", ['2'] = "DUP",
    [0x81] = "NEWOBJ", [0x82] = "EXT1", [0x83] = "EXT2", [0x84] = "EXT4", [0x8b] = "LONG4", [0x8e] = "BINBYTES8",
    [0x8f] = "EMPTY_SET", [0x90] = "ADDITEMS", [0x91] = "FROZENSET", [0x92] = "NEWOBJ_EX", [0x96] = "BYTEARRAY8",
    [0x97] = "NEXT_BUFFER", [0x98] = "READONLY_BUFFER",
};
/* clang-format on */

static int refuse_operation(const machine *m, uint8_t code)
{
    char found[32];

    snprintf(found, sizeof found, "%s 0x%02x", refused[code] ? refused[code] : "opcode", code);
    return fail_at(LORAC_ERROR_DATA,
                   (fault){ .file = m->path, .found = found, .expected = "the operations that torch.save writes" },
                   "the pickle has an operation that is not supported at its byte %zu", (size_t)(m->p - m->start) - 1);
}

/* What an opcode does, with a number that makes one function serve several. */
typedef struct operation {
    int (*run)(machine *m, size_t n);
    size_t n;
} operation;

static const operation operations[256] = {
    [0x80] = { protocol, 0 },
    [0x95] = { frame, 0 },
    ['.'] = { stop, 0 },
    ['('] = { push_new_kind, PICKLE_MARK },
    ['N'] = { push_new_kind, PICKLE_NONE },
    [0x88] = { push_bool, 1 },
    [0x89] = { push_bool, 0 },
    ['J'] = { signed_integer, 4 },
    ['K'] = { unsigned_integer, 1 },
    ['M'] = { unsigned_integer, 2 },
    [0x8a] = { long_integer, 0 },
    ['G'] = { real_number, 0 },
    ['C'] = { text, 1 },
    ['U'] = { text, 1 },
    [0x8c] = { text, 1 },
    ['B'] = { text, 4 },
    ['T'] = { text, 4 },
    ['X'] = { text, 4 },
    [0x8d] = { text, 8 },
    [']'] = { push_new_kind, PICKLE_LIST },
    ['a'] = { extend_list, 1 },
    ['e'] = { extend_list, SIZE_MAX },
    [')'] = { push_new_kind, PICKLE_TUPLE },
    [0x85] = { gather_tuple, 1 },
    [0x86] = { gather_tuple, 2 },
    [0x87] = { gather_tuple, 3 },
    ['t'] = { gather_marked, 0 },
    ['}'] = { push_new_kind, PICKLE_DICT },
    ['s'] = { extend_dict, 2 },
    ['u'] = { extend_dict, SIZE_MAX },
    ['c'] = { global, 0 },
    [0x93] = { stack_global, 0 },
    ['R'] = { reduce, 0 },
    ['b'] = { build, 0 },
    ['Q'] = { persistent, 0 },
    ['q'] = { put_indexed, 1 },
    ['r'] = { put_indexed, 4 },
    [0x94] = { memoize, 0 },
    ['h'] = { get_indexed, 1 },
    ['j'] = { get_indexed, 4 },
    ['i'] = { instance, 0 },
};

static int step(machine *m)
{
    const uint8_t *code = NULL;

    TRY(take(m, 1, &code));
    return operations[*code].run ? operations[*code].run(m, operations[*code].n) : refuse_operation(m, *code);
}

static int run(machine *m)
{
    while (!m->stopped)
        TRY(step(m));
    return LORAC_OK;
}

int pickle_read(pickle_value **out, slice *bytes, bool (*allowed)(slice name), const char *path, arena *memory)
{
    const uint8_t *start = (const uint8_t *)bytes->p;
    machine m = {
        .path = path, .start = start, .p = start, .end = start + bytes->n, .allowed = allowed, .memory = memory
    };
    int status = run(&m);

    *out = status == LORAC_OK ? m.stack[0] : NULL;
    *bytes = (slice){ (const char *)m.p, (size_t)(m.end - m.p) };
    mem_free(m.stack);
    mem_free(m.memo);
    return status;
}
