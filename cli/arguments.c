/* arguments.c: words of the command line to the fields of `arguments`.
 *
 * `--flag value`, `--flag=value`, `-f value`, `--switch`, `--no-switch`; '_' equals '-'; `--` ends the flags. Options
 * of the library's table are checked and stored by the library, after the file that --config names, so that flags win.
 */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORD_MOST = 64,
    CHOICES_MOST = 32,
    BEGINNING = 3 /* letters that may stand for the whole name in a suggestion */
};

typedef struct setting {
    char name[WORD_MOST];
    const char *value;
} setting;

typedef struct parser {
    arguments *a;
    const command *command;
    setting *settings; /* for the library's table, set when all words are read */
    size_t setting_count;
    char *joined_data; /* several --data make one comma-separated list */
} parser;

/* ---- The nearest name ------------------------------------------------------------------------ */

/* Edits (insert, delete, replace) between two names of at most WORD_MOST characters. */
static size_t edits(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), row[WORD_MOST + 1];

    if (n > WORD_MOST || m > WORD_MOST)
        return WORD_MOST;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t replace = diagonal + (a[i - 1] != b[j - 1]);
            size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;

            diagonal = row[j];
            row[j] = replace < least ? replace : least;
        }
    }
    return row[m];
}

const char *nearest(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t length = strlen(word), fewest = length / 3 + 2;

    for (size_t i = 0; i < count; i++) {
        bool begun = length >= BEGINNING && !strncmp(word, names[i], length);
        size_t distance = begun ? 1 : edits(word, names[i]);

        if (distance < fewest) {
            fewest = distance;
            best = names[i];
        }
    }
    return best;
}

/* ---- Defaults -------------------------------------------------------------------------------- */

static int store(parser *p, const flag *f, const char *value);

static bool store_default(void *user, const flag *f)
{
    if (!f->option && f->standard)
        store(user, f, f->standard);
    return false;
}

/* ---- Values ---------------------------------------------------------------------------------- */

static int bad_value(const arguments *a, const flag *f, const char *found, const char *expected, const char *hint)
{
    char *message = format_text("--%s cannot be \"%s\": expected %s%s%s", f->name, found, expected, hint ? ". " : "",
                                hint ? hint : "");
    int status = report_error(a, &(lorac_error){ .status = LORAC_ERROR_USAGE,
                                                 .message = message,
                                                 .key = f->name,
                                                 .found = found,
                                                 .expected = expected,
                                                 .hint = hint });

    free(message);
    return status;
}

/* Suggests the nearest of the choices. */
static int bad_choice(const arguments *a, const flag *f, const char *found)
{
    const char *names[CHOICES_MOST];
    char *copy = format_text("%s", f->choices), *rest = copy, *hint;
    const char *guess;
    size_t count = 0;
    int status;

    while (rest && count < CHOICES_MOST)
        names[count++] = strsep(&rest, ",");
    guess = nearest(found, names, count);
    hint = guess ? format_text("Did you mean %s?", guess) : NULL;
    status = bad_value(a, f, found, f->choices, hint);
    free(hint);
    free(copy);
    return status;
}

static int bad_number(const arguments *a, const flag *f, const char *value)
{
    char *expected =
        format_text("a %s of %.9g to %.9g", f->kind == FLAG_INT ? "whole number" : "number", f->least, f->most);
    int status = bad_value(a, f, value, expected, NULL);

    free(expected);
    return status;
}

static int choice_of(const char *choices, const char *value)
{
    int index = 0;

    for (const char *at = choices; *at; index++) {
        size_t length = strcspn(at, ",");

        if (strlen(value) == length && !strncmp(at, value, length))
            return index;
        at += length;
        at += *at == ',';
    }
    return -1;
}

static int store_number(const arguments *a, const flag *f, void *field, const char *value)
{
    char *end;
    long long whole = 0;
    double number;

    errno = 0;
    if (f->kind == FLAG_INT)
        number = (double)(whole = strtoll(value, &end, 10));
    else
        number = strtod(value, &end);
    if (end == value || *end || (f->kind == FLAG_INT && errno) || !(number >= f->least && number <= f->most))
        return bad_number(a, f, value);
    if (f->kind == FLAG_INT)
        *(int64_t *)field = whole;
    else
        *(double *)field = number;
    return LORAC_OK;
}

static int store(parser *p, const flag *f, const char *value)
{
    void *field = (char *)p->a + f->offset;
    int index;

    switch (f->kind) {
    case FLAG_INT:
    case FLAG_REAL:
        return store_number(p->a, f, field, value);
    case FLAG_SWITCH:
        index = choice_of("false,true", value);
        if (index < 0)
            return bad_value(p->a, f, value, "true or false", NULL);
        *(int *)field = index;
        return LORAC_OK;
    case FLAG_CHOICE:
        index = choice_of(f->choices, value);
        if (index < 0)
            return bad_choice(p->a, f, value);
        *(int *)field = index;
        return LORAC_OK;
    case FLAG_TEXT:
        if (f->choices && choice_of(f->choices, value) < 0)
            return bad_choice(p->a, f, value);
        *(const char **)field = value;
        return LORAC_OK;
    case FLAG_LIST:
        add_text(field, value);
        return LORAC_OK;
    }
    return LORAC_OK;
}

/* Keeps a value for the library's table. Several --data add up; of anything else the last one counts. */
static void keep_setting(parser *p, const flag *f, const char *value)
{
    setting *s;

    for (size_t i = 0; i < p->setting_count; i++) {
        s = &p->settings[i];
        if (strcmp(s->name, f->name) != 0)
            continue;
        if (!strcmp(f->name, "data")) {
            char *joined = format_text("%s,%s", s->value, value);

            free(p->joined_data);
            p->joined_data = joined;
            value = joined;
        }
        s->value = value;
        return;
    }
    s = &p->settings[p->setting_count++];
    snprintf(s->name, sizeof s->name, "%s", f->name);
    s->value = value;
}

/* ---- Words ----------------------------------------------------------------------------------- */

struct names {
    const char *names[128];
    size_t count;
};

static bool collect_name(void *user, const flag *f)
{
    struct names *n = user;

    if (n->count < sizeof n->names / sizeof *n->names)
        n->names[n->count++] = f->name;
    return false;
}

static int unknown_flag(const parser *p, const char *word, size_t length)
{
    struct names n = { .count = 0 };
    char *name = format_text("%.*s", (int)length, word);
    const char *bare = name + strspn(name, "-"), *guess;
    char *hint;
    int status;

    each_flag(p->command, collect_name, &n);
    guess = nearest(bare, n.names, n.count);
    hint = guess ? format_text("Did you mean --%s?", guess)
                 : format_text("lorac %s --help lists the flags.", p->command->name);
    status = usage(p->a, bare, hint, "%s: there is no flag %s", p->command->name, name);
    free(hint);
    free(name);
    return status;
}

/* Finds the flag of a word that starts with '-'. *negated: it was --no-SWITCH. */
static bool flag_of_word(const parser *p, const char *word, size_t length, flag *f, bool *negated)
{
    size_t dashes = strspn(word, "-");

    *negated = false;
    if (dashes > 2 || (dashes == 1 && length != 2))
        return false;
    if (find_flag(p->command, word + dashes, length - dashes, f))
        return true;
    *negated = true;
    return length > dashes + 3 && (!strncmp(word + dashes, "no-", 3) || !strncmp(word + dashes, "no_", 3)) &&
           find_flag(p->command, word + dashes + 3, length - dashes - 3, f) && f->kind == FLAG_SWITCH;
}

/* Reads one flag and its value; *used says how many words. */
static int read_flag(parser *p, int count, char **words, int *used)
{
    const char *word = words[0], *value = strchr(word, '=');
    size_t length = value ? (size_t)(value - word) : strlen(word);
    bool negated;
    flag f;

    *used = 1;
    if (!flag_of_word(p, word, length, &f, &negated))
        return unknown_flag(p, word, length);
    if (value) {
        value++;
    } else if (f.kind == FLAG_SWITCH) {
        value = "true";
    } else if (count > 1) {
        value = words[1];
        *used = 2;
    } else {
        return usage(p->a, f.name, NULL, "--%s needs a value", f.name);
    }
    if (negated)
        value = !strcmp(value, "true") ? "false" : "true";
    add_text(&p->a->given, f.name);
    if (!f.option)
        return store(p, &f, value);
    keep_setting(p, &f, value);
    return LORAC_OK;
}

static int read_words(parser *p, int count, char **words)
{
    arguments *a = p->a;
    size_t places = sizeof a->positional / sizeof *a->positional;

    for (int i = 0; i < count;) {
        int used = 1;

        if (!strcmp(words[i], "--")) {
            for (i++; i < count && a->positional_count < places; i++)
                a->positional[a->positional_count++] = words[i];
        } else if (words[i][0] == '-' && words[i][1]) {
            int status = read_flag(p, count - i, words + i, &used);

            if (status != LORAC_OK)
                return status;
            i += used;
        } else {
            if (!p->command->positional || a->positional_count == places)
                return usage(a, NULL, "Flags start with --; a value with blanks needs quotes.", "%s: what is \"%s\"?",
                             p->command->name, words[i]);
            a->positional[a->positional_count++] = words[i++];
        }
    }
    return LORAC_OK;
}

/* The file first, then the flags. --epochs on the command line ends a --steps that only the file has. */
static int apply_settings(parser *p)
{
    arguments *a = p->a;

    if (a->config && lorac_train_options_load(&a->train, a->config) != LORAC_OK)
        return report(a, lorac_last_error()->status);
    if (given(a, "epochs") && !given(a, "steps") && lorac_train_options_set(&a->train, "steps", "-1") != LORAC_OK)
        return report(a, lorac_last_error()->status);
    for (size_t i = 0; i < p->setting_count; i++)
        if (lorac_train_options_set(&a->train, p->settings[i].name, p->settings[i].value) != LORAC_OK)
            return report(a, lorac_last_error()->status);
    return LORAC_OK;
}

bool given(const arguments *a, const char *name)
{
    for (size_t i = 0; i < a->given.count; i++)
        if (!strcmp(a->given.items[i], name))
            return true;
    return false;
}

int take_arguments(arguments *a, const command *c, int count, char **words)
{
    parser p = { .a = a, .command = c, .settings = allocate((size_t)count + 1, sizeof(setting)) };
    int status;

    *a = (arguments){ 0 };
    lorac_train_options_init(&a->train);
    each_flag(c, store_default, &p);
    for (int i = 0; i < count; i++) /* so that a mistake in the words before it is reported as JSON too */
        if (!strcmp(words[i], "--json"))
            a->json = 1;
    status = read_words(&p, count, words);
    if (status == LORAC_OK)
        status = apply_settings(&p);
    free(p.settings);
    free(p.joined_data);
    return status;
}

void free_arguments(arguments *a)
{
    lorac_train_options_clear(&a->train);
    free(a->adapters.items);
    free(a->stop.items);
    free(a->given.items);
}
