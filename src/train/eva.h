/* eva.h: EVA's first values (Paischer et al. 2024): the directions along which a layer's inputs vary most, and ranks
 * shared out so that the directions that explain most come first, wherever they are. Works on the inputs' covariance,
 * where PEFT searches batch by batch. Knows no adapters. */
#ifndef LORAC_EVA_H
#define LORAC_EVA_H

#include "calibrate.h"
#include "peft_init.h"

/* By slot of linear. */
typedef struct eva_module {
    int leader;           /* whose directions it takes; itself or an earlier one with the same input */
    int64_t asked;        /* the rank of the configuration; 0: no target */
    int64_t rank;         /* what it gets; 0: it is left out */
    int64_t width, count; /* of a leader: `count` directions are known, the largest variance first */
    double *directions;   /* [count, width], of length 1 or whitened */
    double *explained;    /* [count], shares of the whole variance */
} eva_module;

/* Looks at the rows and fills modules, whose `asked` the caller has set and whose rest is zero. `what` needs no
 * `wanted`. eva_free is due after a failure too. */
int eva_find(eva_module *modules, const calibration *what, const peft_init *init);
void eva_free(eva_module *modules, int count);

#endif
