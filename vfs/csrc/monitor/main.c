/* usage: monitor heir
 *        monitor watch PID DIRECTORY ID LAUNCH SOCKET TROUBLE STATE EVENT EVENTS HYDRATOR PYTHON…
 *        monitor tidy DIRECTORY ID
 *        monitor await LISTENER DIRECTORY ID LAUNCH SOCKET TROUBLE PYTHON…
 *
 * rootlay.vfs.detached.heir starts the first two, rootlay.vfs.run.hydrator the last, a wrapped command
 * (`vfs/csrc/wrap`) `tidy`. LISTENER is a descriptor; `-`: there is none. */
#include "monitor.h"
#include "start.h"

void begin(long *stack)
{
    long count = stack[0];
    char **words = (char **)(stack + 1);
    struct watch w;
    environment = words + count + 1;
    if (count == 2 && same(words[1], "heir"))
        be_heir();
    if (count == 4 && same(words[1], "tidy")) {
        w.directory = words[2];
        w.id = words[3];
        tidy_after(&w);
    }
    if (count >= 9 && same(words[1], "await")) {
        w.directory = words[3];
        w.id = words[4];
        w.launch = words[5];
        w.socket = words[6];
        w.trouble = words[7];
        w.python = words + 8;
        await_request(&w, same(words[2], "-") ? -1 : (int)number(words[2], 10));
    }
    if (count < 13 || !same(words[1], "watch"))
        leave(125);
    w.self = words[0];
    w.pid = (long)number(words[2], 10);
    w.directory = words[3];
    w.id = words[4];
    w.launch = words[5];
    w.socket = words[6];
    w.trouble = words[7];
    w.state = words[8];
    w.event = words[9];
    w.events = words[10];
    w.hydrator = (long)number(words[11], 10);
    w.python = words + 12;
    watch(&w);
}
