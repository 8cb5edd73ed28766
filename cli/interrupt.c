/* interrupt.c: Ctrl-C. The first one asks the running call to stop, the second ends the program. */
#include "cli.h"

#include <signal.h>
#include <unistd.h>

static lorac_watch *volatile watched; /* a signal handler can reach nothing else */
static volatile sig_atomic_t asked;

static void on_interrupt(int signal_number)
{
    lorac_watch *watch = watched;

    (void)signal_number;
    if (asked || !watch)
        _exit(LORAC_INTERRUPTED);
    asked = 1;
    lorac_cancel(watch);
}

/* Without SA_RESTART, so that waiting for a line of input ends too. */
void interrupt_cancels(lorac_watch *watch)
{
    struct sigaction action = { .sa_handler = watch ? on_interrupt : SIG_DFL };

    asked = 0;
    watched = watch;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}
