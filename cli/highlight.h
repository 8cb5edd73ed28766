/* highlight.h: a training row as text, with the trained part marked. */
#ifndef LORAC_HIGHLIGHT_H
#define LORAC_HIGHLIGHT_H

#include "cli.h"

/* Prints at most `most` tokens of the row (0: all). The trained part is coloured, or stands in ⟦…⟧ (or [[…]]). */
void print_row(FILE *out, const lorac_text *text, const lorac_row *row, size_t most);
void print_row_legend(FILE *out, bool classified);
/* On stderr, if any row was cut: how many were, how many of them within a trained turn, and how many have nothing left
 * to train; and the flag that changes it. */
void note_cut_rows(int64_t cut, int64_t turns, int64_t untrained);
void note_endless_rows(int64_t rows, const char *chat_template);

#endif
