# packages: libopenmpi-dev openmpi-bin
# prints: 0 6
# prints: 1 6
# prints: 2 6
# prints: 3 6
cat > a.c <<'C'
#include <mpi.h>
#include <stdio.h>
int main(int c, char **v)
{
    int rank, sum;
    MPI_Init(&c, &v);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    printf("%d %d\n", rank, sum);
    MPI_Finalize();
    return 0;
}
C
mpicc a.c -o a; export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpirun --oversubscribe -n 4 ./a 2>/dev/null | sort
