/* help.c: --help and the overview, from the tables of commands and flags. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMN = 34, HELP_WIDTH_LEAST = 50, HELP_WIDTH_MOST = 110, FLAGS_MOST = 96 };

/* Prints words from column `column` on, breaking lines at blanks before `width`. */
static void print_wrapped(FILE *out, const char *text, int indent, int column, int width)
{
    while (*text) {
        size_t length = strcspn(text, " ");

        if (column > indent && column + 1 + (int)length > width) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fwrite(text, 1, length, out);
        column += (int)length;
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static const char *value_word(const flag *f)
{
    switch (f->kind) {
    case FLAG_INT:
        return "N";
    case FLAG_REAL:
        return "X";
    case FLAG_SWITCH:
        return NULL;
    case FLAG_CHOICE:
        return f->choices;
    case FLAG_TEXT:
        return f->choices ? f->choices : "TEXT";
    case FLAG_LIST:
        return "TEXT";
    }
    return NULL;
}

/* "  -m, --model TEXT", with choices as a|b|c. Returns its width. */
static int print_flag_head(FILE *out, const flag *f)
{
    const char *word = value_word(f);
    bool off = switches_off(f);
    char shortened[8] = "    ";
    char *head;
    int width;

    for (const char *at = f->aliases; at && *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == 1)
            snprintf(shortened, sizeof shortened, "-%c, ", *at);
    head = format_text("  %s--%s%s%s%s", shortened, off ? "no-" : "", f->name, word ? " " : "", word ? word : "");
    for (char *at = head + 6; *at; at++)
        if (*at == ',')
            *at = '|';
    width = fprintf(out, "%s", head);
    free(head);
    return width;
}

static char *flag_text(const flag *f)
{
    bool automatic = (f->kind == FLAG_INT || f->kind == FLAG_REAL) && f->choices;
    const char *standard = automatic ? f->choices : f->standard;
    bool default_shown = standard && f->kind != FLAG_SWITCH;
    const char *more = "";
    bool off = switches_off(f);
    char *text;
    char aliases[128] = "";

    for (const char *at = f->aliases; at && *at; at += strcspn(at, ","), at += *at == ',') {
        int length = (int)strcspn(at, ",");
        size_t used = strlen(aliases);

        if (length > 1)
            snprintf(aliases + used, sizeof aliases - used, "%s--%s%.*s", more, off ? "no-" : "", length, at);
        if (length > 1)
            more = ", ";
    }
    text = format_text("%s%s%s%s%s%s%s%s%s", off ? "without " : "", f->help, default_shown ? " (default: " : "",
                       default_shown ? standard : "", default_shown ? ")" : "",
                       f->kind == FLAG_LIST ? " (repeatable)" : "", *aliases ? " [" : "", aliases, *aliases ? "]" : "");
    return text;
}

static void print_flag(FILE *out, const flag *f, int width)
{
    char *text = flag_text(f);
    int column = print_flag_head(out, f);

    if (column >= HELP_COLUMN) {
        fputc('\n', out);
        column = 0;
    }
    fprintf(out, "%*s", HELP_COLUMN - column, "");
    print_wrapped(out, text, HELP_COLUMN, HELP_COLUMN, width);
    free(text);
}

struct listing {
    flag flags[FLAGS_MOST];
    size_t count;
};

static bool collect_flag(void *user, const flag *f)
{
    struct listing *l = user;

    if (l->count < FLAGS_MOST)
        l->flags[l->count++] = *f;
    return false;
}

/* Group by group, in the order in which the groups first appear. */
static void print_flags(const command *c, FILE *out, int width)
{
    struct listing l = { .count = 0 };

    each_flag(c, collect_flag, &l);
    for (size_t i = 0; i < l.count; i++) {
        const char *group = l.flags[i].group;

        if (!group)
            continue;
        fprintf(out, "\n%s\n", group);
        for (size_t j = i; j < l.count; j++) {
            if (!l.flags[j].group || strcmp(l.flags[j].group, group) != 0)
                continue;
            print_flag(out, &l.flags[j], width);
            if (j > i)
                l.flags[j].group = NULL;
        }
    }
}

static int help_width(void)
{
    int width = terminal_width();

    return width < HELP_WIDTH_LEAST ? HELP_WIDTH_LEAST : width > HELP_WIDTH_MOST ? HELP_WIDTH_MOST : width;
}

void print_help(const command *c, FILE *out)
{
    int width = help_width();

    fprintf(out, "lorac %s: %s\n\nUsage: lorac %s%s%s [flags]\n", c->name, c->summary, c->name,
            c->positional ? " " : "", c->positional ? c->positional : "");
    if (c->description) {
        fputc('\n', out);
        print_wrapped(out, c->description, 0, 0, width);
    }
    print_flags(c, out, width);
    if (c->examples) {
        fprintf(out, "\nExamples\n");
        for (const char *at = c->examples; *at; at += strcspn(at, "\n"), at += *at == '\n')
            fprintf(out, "  %.*s\n", (int)strcspn(at, "\n"), at);
    }
    fprintf(out,
            "\nExit codes: 0 done, 1 runtime, 2 usage, 3 data, 4 does not fit memory, 5 diverged, 130 interrupted.\n");
}

void print_overview(FILE *out)
{
    fprintf(out, "lorac %s: fine-tune language models with LoRA, on this machine\n\nUsage: lorac COMMAND [flags]\n\n",
            lorac_version());
    for (size_t i = 0; i < command_count; i++)
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\nlorac COMMAND --help explains one. To begin with:\n\n"
                 "  lorac pull smollm2-135m\n"
                 "  lorac chat -m smollm2-135m\n");
}

bool print_group(const char *first, FILE *out)
{
    size_t length = strlen(first);
    bool found = false;

    for (size_t i = 0; i < command_count; i++) {
        if (strncmp(commands[i].name, first, length) != 0 || commands[i].name[length] != ' ')
            continue;
        if (!found)
            fprintf(out, "Usage: lorac %s COMMAND [flags]\n\n", first);
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
        found = true;
    }
    if (found)
        fprintf(out, "\nlorac %s COMMAND --help explains one.\n", first);
    return found;
}

int command_help(arguments *a)
{
    int used;
    char *words[2] = { (char *)a->positional[0], (char *)a->positional[1] };
    const command *c;

    if (!a->positional_count) {
        print_overview(stdout);
        return LORAC_OK;
    }
    c = find_command((int)a->positional_count, words, &used);
    if (!c && a->positional_count == 1 && print_group(words[0], stdout))
        return LORAC_OK;
    if (!c)
        return usage(a, a->positional[0], "lorac help lists the commands.", "there is no command \"%s\"",
                     a->positional[0]);
    print_help(c, stdout);
    return LORAC_OK;
}
