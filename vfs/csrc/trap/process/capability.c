/* Capabilities, as far as programs can observe them: the effective user 0 has all of them; other users have those that
 * they kept when they left that user (PR_SET_KEEPCAPS, as name servers and setpriv do). They grant what identity.c
 * requires, and nothing else: user 0 reads and writes all files without CAP_DAC_OVERRIDE, too. An exec gives user 0 all
 * of them again, but those dropped from the bounding set, and leaves a plain user none.
 */
#include <linux/capability.h>
#include <linux/prctl.h>

#include "../engine.h"
#include "../table/syscalls.h"

#define RL_CAPABILITIES ((1ull << (CAP_LAST_CAP + 1)) - 1)

struct rl_caps rl_caps;

static u64 permitted(void) { return rl_me.euid == 0 ? RL_CAPABILITIES & ~rl_caps.given_up : rl_caps.permitted; }
static u64 effective(void) { return rl_me.euid == 0 ? permitted() & ~rl_caps.off : rl_caps.effective; }

int rl_capable(u32 capability) { return (int)(effective() >> capability & 1); }

void rl_tell_status(struct rl_own_status *out)
{
    static const int sigs[] = {RL_SIGSYS, RL_SIGSEGV, RL_SIGBUS};

    *out = (struct rl_own_status){.permitted = permitted(), .effective = effective(), .bounding = RL_CAPABILITIES & ~rl_caps.unbound};
    for (u32 i = 0; i < 3; i++) {
        u64 handler = rl_virtual_action(sigs[i])->handler;

        out->engine |= RL_SIGBIT(sigs[i]);
        out->ignored |= handler == RL_SIG_IGN ? RL_SIGBIT(sigs[i]) : 0;
        out->caught |= handler > RL_SIG_IGN ? RL_SIGBIT(sigs[i]) : 0;
    }
}

/* capabilities(7), "Effect of user ID changes on capabilities". */
void rl_caps_after(const u32 old[3])
{
    int had_root = old[0] == 0 || old[1] == 0 || old[2] == 0;

    if (old[1] == 0 && rl_me.euid != 0) {
        rl_caps.permitted = RL_CAPABILITIES & ~rl_caps.given_up;
        rl_caps.effective = 0;
    }
    if (had_root && rl_me.uid && rl_me.euid && rl_me.suid && !rl_caps.keep)
        rl_caps.permitted = rl_caps.effective = 0;
}

static long check_header(struct rl_call *c, u32 *words)
{
    struct __user_cap_header_struct head;

    if (rl_user_read(c, &head, c->arg[0], sizeof head) < 0)
        return -EFAULT;
    *words = head.version == _LINUX_CAPABILITY_VERSION_1   ? _LINUX_CAPABILITY_U32S_1
             : head.version == _LINUX_CAPABILITY_VERSION_2 ? _LINUX_CAPABILITY_U32S_2
             : head.version == _LINUX_CAPABILITY_VERSION_3 ? _LINUX_CAPABILITY_U32S_3
                                                           : 0;
    if (*words)
        return 0;
    head.version = _LINUX_CAPABILITY_VERSION_3;
    if (rl_user_write(c, c->arg[0], &head, sizeof head) < 0)
        return -EFAULT;
    return -EINVAL;
}

long rl_do_capget(struct rl_call *c)
{
    struct __user_cap_data_struct data[2];
    u64 may = permitted(), have = effective();
    u32 words;
    long r = check_header(c, &words);

    if (r < 0)
        return c->arg[1] || r != -EINVAL ? r : 0;
    for (u32 i = 0; i < 2; i++)
        data[i] = (struct __user_cap_data_struct){(u32)(have >> 32 * i), (u32)(may >> 32 * i), 0};
    return c->arg[1] ? rl_user_write(c, c->arg[1], data, words * sizeof data[0]) : 0;
}

long rl_do_capset(struct rl_call *c)
{
    struct __user_cap_data_struct data[2];
    u64 want[2] = {0, 0};
    u32 words;
    long r = check_header(c, &words);

    if (r < 0)
        return r;
    if (rl_user_read(c, data, c->arg[1], words * sizeof data[0]) < 0)
        return -EFAULT;
    for (u32 i = 0; i < words; i++) {
        want[0] |= (u64)data[i].effective << 32 * i;
        want[1] |= (u64)data[i].permitted << 32 * i;
    }
    want[0] &= RL_CAPABILITIES;
    want[1] &= RL_CAPABILITIES;
    if (want[1] & ~permitted() || want[0] & ~want[1])
        return -EPERM;
    rl_identity_borrow();
    if (rl_me.euid == 0) {
        rl_caps.given_up = RL_CAPABILITIES & ~want[1];
        rl_caps.off = RL_CAPABILITIES & ~want[0];
    } else {
        rl_caps.effective = want[0];
        rl_caps.permitted = want[1];
    }
    return 0;
}

/* Only the options that the filter traps reach this handler. */
long rl_do_prctl(struct rl_call *c)
{
    switch (c->arg[0]) {
    case PR_SET_KEEPCAPS:
        if (c->arg[1] > 1)
            return -EINVAL;
        rl_identity_borrow();
        rl_caps.keep = (int)c->arg[1];
        return rl_sys(__NR_prctl, PR_SET_KEEPCAPS, rl_caps.keep, 0, 0, 0, 0); /* for PR_GET_KEEPCAPS */
    case PR_CAPBSET_READ:
        return c->arg[1] > CAP_LAST_CAP ? -EINVAL : !(rl_caps.unbound >> c->arg[1] & 1);
    case PR_CAPBSET_DROP:
        if (!rl_capable(CAP_SETPCAP))
            return -EPERM;
        if (c->arg[1] > CAP_LAST_CAP)
            return -EINVAL;
        rl_identity_borrow();
        rl_caps.unbound |= 1ull << c->arg[1];
        return 0;
    case PR_SET_SECUREBITS:
        return rl_capable(CAP_SETPCAP) ? 0 : -EPERM;
    case PR_CAP_AMBIENT:
        return c->arg[1] == PR_CAP_AMBIENT_IS_SET || c->arg[1] == PR_CAP_AMBIENT_CLEAR_ALL || rl_me.euid == 0 ? 0 : -EPERM;
    case PR_SET_MM:
        return -EPERM;
    default:
        return -EINVAL;
    }
}
