/* llama_tidy.c: the blanks that llama_detokenize leaves out of a whole text. */
#include "llama_tidy.h"

/* Does a blank go that stands before text[i]? */
static bool ends_sentence(slice text, size_t i)
{
    char c = text.p[i];
    return c == '?' || c == '!' || c == '.' || c == ',';
}

static bool contracts(slice text, size_t i)
{
    slice rest = { text.p + i, text.n - i };
    return slice_starts(rest, "'s") || slice_starts(rest, "'m") || slice_starts(rest, "'re") ||
           slice_starts(rest, "'ve");
}

static void drop_blanks_before(buf *text, size_t begin, bool (*goes)(slice text, size_t i))
{
    slice s = { text->p + begin, text->n - begin };
    char *p = text->p + begin;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (i && p[i - 1] == ' ' && goes(s, i))
            n--;
        p[n++] = p[i];
    }
    text->n = begin + n;
}

static void free_apostrophes(buf *text, size_t begin)
{
    char *p = text->p + begin;
    size_t n = 0, count = text->n - begin;
    for (size_t i = 0; i < count; i++) {
        bool alone = i && i + 1 < count && p[i] == '\'' && p[i - 1] == ' ' && p[i + 1] == ' ';
        if (alone) {
            n--;
            p[i + 1] = '\0'; /* is not seen as a blank again */
        }
        p[n++] = p[i];
        i += alone;
    }
    text->n = begin + n;
}

void llama_tidy(buf *text, size_t begin)
{
    drop_blanks_before(text, begin, ends_sentence);
    free_apostrophes(text, begin);
    drop_blanks_before(text, begin, contracts);
}
