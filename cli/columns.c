/* columns.c: two texts side by side, each wrapped at blanks within its half of the terminal. */
#include "columns.h"

#include "cli.h"

#include <string.h>

enum { HALF_LEAST = 20 };

/* How many bytes of `text` make the next line of at most `width` cells; *next is where the line after it begins. */
static size_t line_length(const char *text, int width, const char **next)
{
    size_t n = strlen(text), at = 0, blank = 0;
    int cells = 0;

    while (at < n && text[at] != '\n') {
        size_t start = at;
        int wide = codepoint_width(next_codepoint(text, n, &at));

        if (cells + wide > width && start) {
            size_t length = blank ? blank : start;

            *next = text + length + (blank ? 1 : 0);
            return length;
        }
        cells += wide;
        if (text[start] == ' ')
            blank = start;
    }
    *next = text + at + (text[at] == '\n');
    return at;
}

static void print_cell(const char *text, size_t length, int width)
{
    int cells = 0;

    for (size_t at = 0; at < length;)
        cells += codepoint_width(next_codepoint(text, length, &at));
    print_text(stdout, text, length);
    for (; width > cells; width--)
        putchar(' ');
}

void print_columns(const char *left_title, const char *left, const char *right_title, const char *right)
{
    int half = (terminal_width() - 3) / 2;
    const char *bar = has_utf8() ? "│" : "|", *line = has_utf8() ? "─" : "-", *cross = has_utf8() ? "┼" : "+";

    if (half < HALF_LEAST)
        half = HALF_LEAST;
    print_cell(left_title, strlen(left_title), half);
    printf(" %s %s\n", bar, right_title);
    for (int i = 0; i < 2 * half + 3; i++)
        fputs(i == half + 1 ? cross : line, stdout);
    putchar('\n');
    while (*left || *right) {
        const char *left_next, *right_next;
        size_t left_bytes = line_length(left, half, &left_next), right_bytes = line_length(right, half, &right_next);

        print_cell(left, left_bytes, half);
        printf(" %s ", bar);
        print_cell(right, right_bytes, 0);
        putchar('\n');
        left = left_next;
        right = right_next;
    }
}
