/* highlight.c: a training row as text. Tokens that carry a label and those that do not are decoded in runs. */
#include "highlight.h"

#include <stdlib.h>
#include <string.h>

enum { NOT_TRAINED = -100 };

static const char *mark(FILE *out, bool opening)
{
    if (has_colour(out))
        return opening ? "\033[1;32m" : "\033[0m";
    if (has_utf8())
        return opening ? "⟦" : "⟧";
    return opening ? "[[" : "]]";
}

static void print_run(FILE *out, const lorac_text *text, const int32_t *ids, size_t count)
{
    char *utf8;
    size_t length;

    if (text && lorac_text_decode(text, ids, count, 0, &utf8, &length) == LORAC_OK) {
        print_text(out, utf8, length);
        lorac_free(utf8);
        return;
    }
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%d", i ? " " : "", (int)ids[i]);
}

void print_row(FILE *out, const lorac_text *text, const lorac_row *row, size_t most)
{
    size_t count = most && row->count > most ? most : row->count;

    for (size_t start = 0, end; start < count; start = end) {
        bool trained = row->labels[start] != NOT_TRAINED;

        for (end = start + 1; end < count && (row->labels[end] != NOT_TRAINED) == trained;)
            end++;
        if (trained)
            fputs(mark(out, true), out);
        print_run(out, text, row->ids + start, end - start);
        if (trained)
            fputs(mark(out, false), out);
    }
    if (count < row->count)
        fprintf(out, " ... (%zu more tokens)", row->count - count);
    fputc('\n', out);
}

void print_row_legend(FILE *out, bool classified)
{
    fprintf(out, "%s%s%s%s\n", mark(out, true), classified ? "where the label is read" : "trained", mark(out, false),
            classified ? "" : ", not trained");
}

void note_endless_rows(int64_t rows, const char *chat_template)
{
    if (rows)
        fprintf(
            stderr,
            "%lld row%s: with the chat template %s the assistant's turn ends without a special token of this model, so "
            "nothing teaches it to stop. Give a template that writes the model's end-of-turn token within the "
            "assistant's turn, and before {%% endgeneration %%} where it has that (--chat-template FILE.jinja)\n",
            (long long)rows, rows == 1 ? "" : "s", chat_template);
}

void note_cut_rows(int64_t cut, int64_t turns, int64_t untrained)
{
    if (cut)
        fprintf(
            stderr,
            "%lld row%s longer than --max-seq-length and cut there: %lld within a trained turn, which loses its end; "
            "%lld with nothing left to train, which training drops\n",
            (long long)cut, cut == 1 ? " is" : "s are", (long long)turns, (long long)untrained);
}
