/* The commands of spanmillctl, a file each. words are those behind the command's name. */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include "arguments.h"

enum ctl_exit command_backup(int count, const char *const *words);
enum ctl_exit command_export(int count, const char *const *words);
enum ctl_exit command_import(int count, const char *const *words);
enum ctl_exit command_disk_check(int count, const char *const *words);
enum ctl_exit command_inspect(int count, const char *const *words);
enum ctl_exit command_pin(int count, const char *const *words);
enum ctl_exit command_ledger(int count, const char *const *words);
enum ctl_exit command_retention(int count, const char *const *words);
enum ctl_exit command_verify(int count, const char *const *words);
enum ctl_exit command_token(int count, const char *const *words);

#endif
