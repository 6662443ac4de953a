/*
 * Is an address free to listen on? Asked before anything is opened, so that a second server ends before it has touched
 * the data directory.
 */
#ifndef MAIN_PORT_H
#define MAIN_PORT_H

#include <stdbool.h>

/* "127.0.0.1:4318" or "[::1]:4318"; port 0 always is. Logs why not. Waits for a predecessor that was just killed. */
bool port_is_free(const char *address);

#endif
