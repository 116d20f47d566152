# Feeds fail2ban's own filter and counter with lines, its clock set to each line's time, and says
# what became of every address: {"ADDRESS": {"banned": true, "counts": [what it counted, ...]}}.
# Standard input: Unix seconds, a tab, the line. Arguments: maxretry, findtime in seconds.
import json
import sys

from fail2ban.client.filterreader import FilterReader
from fail2ban.server.filter import Filter
from fail2ban.server.jail import Jail
from fail2ban.server.mytime import MyTime

found = {}


class Recorder(Jail):
    def putFailTicket(self, ticket):
        found[str(ticket.getID())]["banned"] = True


reader = FilterReader("sshd", "sshd", {}, basedir="/etc/fail2ban")
reader.read()
reader.getOptions({})
f = Filter(Recorder("sshd", backend=None))
f.setUseDns("no")
for order in reader.convert():
    if order[2] == "addfailregex":
        for pattern in order[3] if order[0] == "multi-set" else [order[3]]:
            f.addFailRegex(pattern)
    elif order[2] == "addignoreregex":
        for pattern in order[3] if order[0] == "multi-set" else [order[3]]:
            f.addIgnoreRegex(pattern)
    elif order[2] == "prefregex":
        f.prefRegex = order[3]
    elif order[2] == "datepattern":
        f.setDatePattern(order[3])
f.setMaxRetry(int(sys.argv[1]))
f.setFindTime(int(sys.argv[2]))

count = f.failManager.addFailure


def recorded(ticket, *args, **kwargs):
    n = count(ticket, *args, **kwargs)
    found.setdefault(str(ticket.getID()), {"banned": False, "counts": []})["counts"].append(n)
    return n


f.failManager.addFailure = recorded
for line in sys.stdin:
    when, text = line.rstrip("\n").split("\t", 1)
    MyTime.setTime(int(when))
    f.processLineAndAdd(text)
json.dump(found, sys.stdout)
