/* usage: monitor heir
 *        monitor launch
 *        monitor watch PID DIRECTORY ID LAUNCH SOCKET TROUBLE STATE EVENT EVENTS HYDRATOR PYTHON…
 *        monitor tidy DIRECTORY ID
 *        monitor await LISTENER DIRECTORY ID LAUNCH SOCKET TROUBLE PYTHON…
 *        monitor sessions
 *
 * rootlay.vfs.detached starts the first three, rootlay.vfs.run the last two, a wrapped command (`vfs/csrc/wrap`)
 * `tidy`. EVENT: the time of the start in ns, a blank, and a template. LISTENER is a descriptor; `-`: there is none. */
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
    if (count == 2 && same(words[1], "launch")) {
        w.self = words[0];
        launch(&w);
    }
    if (count == 4 && same(words[1], "tidy")) {
        w.directory = words[2];
        w.id = words[3];
        tidy_after(&w);
    }
    if (count >= 9 && same(words[1], "await"))
        await_session(words + 2);
    if (count == 2 && same(words[1], "sessions"))
        serve_sessions();
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
    w.begun_ns = number(w.event, 10);
    while (*w.event && *w.event++ != ' ')
        ;
    w.events = words[10];
    w.hydrator = (long)number(words[11], 10);
    w.python = words + 12;
    watch(&w);
}
