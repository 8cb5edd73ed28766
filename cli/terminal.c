/* terminal.c: what the terminal can show, and keeping text from elsewhere from steering it. */
#include "cli.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum { WIDTH_STANDARD = 80 };

bool is_terminal(FILE *stream)
{
    const char *kind = getenv("TERM");

    return isatty(fileno(stream)) && !(kind && !strcmp(kind, "dumb"));
}

bool has_colour(FILE *stream)
{
    const char *off = getenv("NO_COLOR");

    return is_terminal(stream) && !(off && *off);
}

bool has_utf8(void)
{
    return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

int terminal_width(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        return size.ws_col;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        return size.ws_col;
    return WIDTH_STANDARD;
}

/* Shortest form only, no surrogates, nothing above U+10FFFF. */
uint32_t next_codepoint(const char *text, size_t length, size_t *at)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *p = (const unsigned char *)text + *at;
    size_t left = length - *at;
    size_t bytes = *p < 0x80 ? 1 : *p < 0xC0 ? 0 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : *p < 0xF8 ? 4 : 0;
    uint32_t codepoint;

    if (!bytes || bytes > left) {
        *at += 1;
        return UINT32_MAX;
    }
    codepoint = bytes == 1 ? *p : *p & (0xFFu >> (bytes + 1));
    for (size_t i = 1; i < bytes; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            *at += 1;
            return UINT32_MAX;
        }
        codepoint = codepoint << 6 | (p[i] & 0x3F);
    }
    if (codepoint < least[bytes] || codepoint > 0x10FFFF || (codepoint >= 0xD800 && codepoint < 0xE000)) {
        *at += 1;
        return UINT32_MAX;
    }
    *at += bytes;
    return codepoint;
}

int codepoint_width(uint32_t codepoint)
{
    int width = codepoint == UINT32_MAX ? 4 : wcwidth((wchar_t)codepoint);

    return width < 0 ? 1 : width;
}

/* C0 but for tab and newline, DEL, C1, and the marks that reorder text. */
static bool steers(uint32_t c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0) || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069);
}

void print_text(FILE *stream, const char *text, size_t length)
{
    size_t at = 0;

    if (!isatty(fileno(stream))) {
        fwrite(text, 1, length, stream);
        return;
    }
    while (at < length) {
        size_t start = at;
        uint32_t c = next_codepoint(text, length, &at);

        if (c == UINT32_MAX)
            fprintf(stream, "\\x%02x", (unsigned char)text[start]);
        else if (steers(c))
            fprintf(stream, c < 0x100 ? "\\x%02x" : "\\u%04x", c);
        else
            fwrite(text + start, 1, at - start, stream);
    }
}
