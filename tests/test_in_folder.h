/* test_in_folder.h: for test programs that write into one folder of their own: set-up and tear-down of the group. */
#ifndef LORAC_TEST_IN_FOLDER_H
#define LORAC_TEST_IN_FOLDER_H

#include "test.h"

#include "file.h"

static const char *folder;

static int make_folder(void **state)
{
    (void)state;
    folder = test_folder();
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return folder_remove(folder);
}

#endif
