/* clock.h: elapsed time, for figures that users read. Nothing that is computed depends on it. */
#ifndef LORAC_CLOCK_H
#define LORAC_CLOCK_H

/* Seconds of the monotonic clock, since some fixed moment. */
double clock_seconds(void);

#endif
