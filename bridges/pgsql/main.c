/* ssecast-pgsql: the bridge from PostgreSQL. */
#include "pgsql/pgsql.h"

int main(int argc, char **argv)
{
    return pgsql_main(argc, argv);
}
