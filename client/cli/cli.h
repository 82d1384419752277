/* cli.h - the command line of ssecast: options, then a verb with its flags and arguments. */
#ifndef SSECAST_CLI_H
#define SSECAST_CLI_H

/* Run the program. Its exit status: 0; 1 when the broker refused or did not answer; 2 when the
 * call was wrong. */
int cli_run(int argc, char **argv);

#endif
