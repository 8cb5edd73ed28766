/* columns.h: two texts side by side. */
#ifndef LORAC_COLUMNS_H
#define LORAC_COLUMNS_H

/* Prints them on stdout under their titles, wrapped to the terminal's width. */
void print_columns(const char *left_title, const char *left, const char *right_title, const char *right);

#endif
