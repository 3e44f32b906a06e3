/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a configuration may not say: each error with its line, all of them at once, and files that mean harm.
 */
#include "config_rig.h"

#include <stdio.h>
#include <string.h>

/* All at once, in order, with the count at the end. */
static void reports_everything(void **state)
{
	fixture_expect_report(
		*state,
		"x = 1\n"                                /* 1 */
		"[lan\n"                                 /* 2 */
		"[lann]\nfoo = 1\n"                      /* 3, 4: keys of an unknown section are not looked at */
		"[lan]\ninterfce = eth1\n"               /* 5, 6 */
		"interface = eth0123456789abcdef\n"      /* 7 */
		"tun = a/b\n  foo\n"                     /* 8, 9 */
		"[nat]\nmapping = endpont-independent\n" /* 10, 11 */
		"hairpinning = yes\nhairpinning = no\n"  /* 12, 13 */
		"udp = 300\nwhat\n= 3\n"                 /* 14 to 16 */
		"[lan]\n",                               /* 17 */
		"E f:1: x comes before the first [SECTION]\n"
		"E f:2: a section is written [NAME], on a line of its own\n"
		"E f:3: unknown section [lann] (did you mean lan?)\n"
		"E f:6: unknown key interfce in section [lan] (did you mean interface?)\n"
		"E f:7: interface = eth0123456789abcdef: has 19 bytes; the name of a network device has at most 15\n"
		"E f:8: tun = a/b: cannot be a network device; names have no spaces, quotes, '/', ':' or '%'\n"
		"E f:9: there is no '=' in 'foo'; there is no list above that it could continue\n"
		"E f:11: mapping = endpont-independent: must be endpoint-independent | address-dependent | "
		"address-and-port-dependent (did you mean endpoint-independent?)\n"
		"E f:13: hairpinning is set here again; the first is in line 12\n"
		"E f:14: unknown key udp in section [nat] (it belongs to section [timeouts])\n"
		"E f:15: there is no '=' in 'what'; write KEY = VALUE\n"
		"E f:16: there is no key in front of '='\n"
		"E f:17: section [lan] occurs twice; the first is in line 5\n"
		"E f: 13 errors\n");
}

static const struct {
	const char *text, *error;
} bad_values[] = {
	{"", "E f: the LAN device is missing"},
	{"[lan]\ninterface =\n", "E f: the LAN device is missing"},
	{LAN "tun =\n", "tun is empty"},
	{LAN "tun = eth1\n", "eth1 is the TUN device"},
	{LAN "[wan]\ninterface = eth1\n",
	 "f:4: eth1 is the device of both LAN and WAN; name another one with interface"},
	{LAN "[wan]\ninterface = cv0\n", "cv0 is the TUN device"},
	{"[lan]\ninterface = lo\n", "f:2: interface = lo: is the loopback device"},
	{"[lan]\ninterface = ..\n", "f:2: interface = ..: cannot be"},
	{"[lan]\ninterface = \"eth1\"\n", "f:2: interface = \"eth1\": cannot be"},
	{LAN "[wan]\nhost_ports = 0\n", "f:4: host_ports = 0: must be a port"},
	{LAN "[wan]\nhost_ports = 9-8\n", "f:4: host_ports = 9-8: the range runs backwards (did you mean 8-9?)"},
	{LAN "[wan]\nhost_ports = 1, 65536, 3, x\n", "f:4: host_ports = 65536: must be a port"},
	{LAN "[wan]\nhost_ports = 1, 65536, 3, x\n", "f:4: host_ports = x: must be a port"},
	{LAN "[wan]\nhost_ports = 5-\n", "f:4: host_ports = 5-: must be a port"},
	{LAN "[wan]\nhost_ports = sctp:5\n", "f:4: host_ports = sctp:5: must be a port"},
	{LAN "[wan]\nhost_ports = 22,\n 70000\n", "f:5: host_ports = 70000: must be a port"},
	{LAN "[wan]\noffload = true\n", "f:4: offload = true: must be yes | no"},
	{LAN "[wan]\noffload = ON\n", "f:4: offload = ON: must be yes | no (did you mean yes?)"},
	{LAN "[wan]\noffload = 0\n", "f:4: offload = 0: must be yes | no (did you mean no?)"},
	{LAN "[wan]\noffload =\n", "f:4: offload = : must be yes | no"},
	{LAN "[ipsec]\nesp = no\n", "f:4: esp = no: must be inherit | pass | plain | block (did you mean block?)"},
	{LAN "[ipsec]\nnatt = bloc\n", "(did you mean block?)"},
	{LAN "[ipsec]\nmode = inherit\n", "f:4: mode = inherit: must be pass | plain | block"},
	{LAN "[ipsec]\nnat_t = block\n", "unknown key nat_t in section [ipsec] (did you mean natt?)"},
	{LAN "[l2tp]\nike = block\n", "unknown key ike in section [l2tp] (it belongs to section [ipsec])"},
	{LAN "[ipsec]\nesp_fanout = 1\n", "f:4: esp_fanout = 1: must be yes | no"},
	{LAN "[nat]\nbypass = 10.0.0.1/8\n",
	 "f:4: bypass = 10.0.0.1/8: has bits set behind its prefix (did you mean 10.0.0.0/8?)"},
	{LAN "[nat]\nbypass = 10.0.0.0/33\n", "f:4: bypass = 10.0.0.0/33: a prefix length is a number from 0 to 32"},
	{LAN "[nat]\nbypass = 10.0.0.0/\n", "a prefix length is"},
	{LAN "[nat]\nbypass = 10/8\n", "must be an IPv4 prefix"},
	{LAN "[nat]\nbypass = ::/0\n", "must be an IPv4 prefix"},
	{LAN "[nat]\nicmp_rate = -5\n", "f:4: icmp_rate = -5: must be a number from 0 to 100000"},
	{LAN "[nat]\nicmp_rate = 0x10\n", "must be a number"},
	{LAN "[nat]\nicmp_rate = 100001\n", "must be a number from 0 to 100000"},
	{LAN "[nat]\nicmp_rate = 99999999999999999999999\n", "must be a number"},
	{LAN "[nat]\nicmp_rate = 18446744073709551617\n", "must be a number"},
	{LAN "[timeouts]\nudp = 119\n",
	 "must be a number from 120 to 604800, in seconds; RFC 4787 REQ-5 asks for at least 120"},
	{LAN "[timeouts]\ntcp_established = 7439\n", "RFC 5382 REQ-5 asks for at least 7440"},
	{LAN "[timeouts]\ntcp_opening = 239\n", "RFC 5382 REQ-5 asks for at least 240"},
	{LAN "[timeouts]\nicmp = 59\n", "RFC 5508 REQ-2 asks for at least 60"},
	{LAN "[timeouts]\nudp = 300s\n",
	 "f:4: udp = 300s: must be a number from 120 to 604800, in seconds (did you mean 300?)"},
	{LAN "[timeouts]\nudp = 5 minutes\n", "(did you mean 300?)"},
	{LAN "[timeouts]\ntcp_established = 3H\n", "(did you mean 10800?)"},
	{LAN "[timeouts]\nesp = 7d\n", "(did you mean 604800?)"},
	{LAN "[timeouts]\nesp = 8d\n", "f:4: esp = 8d: must be a number from 120 to 604800, in seconds\n"},
	{LAN "[timeouts]\nudp = 1m\n", "RFC 4787 REQ-5 asks for at least 120\n"},
	{LAN "[timeouts]\nudp = m\n", "RFC 4787 REQ-5 asks for at least 120\n"},
	{LAN "[timeouts]\nudp = 71582789m\n", "RFC 4787 REQ-5 asks for at least 120\n"},
	{LAN "[limits]\nflows = 4194305\n", "must be a number from 64 to 4194304"},
	{LAN "[limits]\naddresses = 0\n", "must be a number from 1 to 64"},
	{LAN "[pptp]\nmode = blok\n", "mode = blok: must be pass | plain | block (did you mean block?)"},
	{LAN "[pptp]\nmode = off\n", "f:4: mode = off: must be pass | plain | block (did you mean block?)"},
	{LAN "[pptp]\nmode = enabled\n", "(did you mean pass?)"},
	{LAN "[log]\nlevel = warn\n",
	 "f:4: level = warn: must be error | warning | notice | info | debug (did you mean warning?)"},
	{LAN "[l2tp]\nmode = Pass\n", "(did you mean pass?)"},
	{LAN "[control]\nsocket = x\n", "must be an absolute path"},
	{LAN "[metrics]\nlisten = 0.0.0.0:80\n", "is not a loopback address; write 127.0.0.1:PORT"},
	{LAN "[metrics]\nlisten = 127.0.0.1\n", "must be unix:/PATH, or an address and a port"},
	{LAN "[metrics]\nlisten = unix:x\n", "must be unix:/PATH, or an address and a port"},
	{LAN "[log]\ntarget = sylog\n", "must be auto | stderr | syslog | an absolute path (did you mean syslog?)"},
	{LAN "[log]\nlevel = 7\n", "must be error | warning | notice | info | debug"},
	{LAN "[fowrard:x]\n", "f:3: unknown section [fowrard:x] (did you mean forward:NAME?)"},
	{LAN "[forward]\n", "f:3: unknown section [forward] (did you mean forward:NAME?)"},
	{LAN "[ipsek]\n", "f:3: unknown section [ipsek] (did you mean ipsec?)"},
	{LAN "[zzzzzz]\n", "f:3: unknown section [zzzzzz]\n"},
	{LAN "[lan] x\n", "f:3: a section is written [NAME]"},
	{LAN "[]\n", "f:3: unknown section []"},
	{LAN "tun : x\n", "f:3: there is no '=' in 'tun : x'"},
};

static void refuses_values(void **state)
{
	for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++)
		fixture_expect_error(*state, bad_values[i].text, bad_values[i].error);
}

static const struct {
	const char *text, *error;
} bad_forwards[] = {
	{"[forward:]\n", "f:3: [forward:]: a name has 1 to 31"},
	{"[forward:a b]\n", "f:3: [forward:a b]: a name has 1 to 31"},
	{"[forward:abcdefghijabcdefghijabcdefghijab]\n", "a name has 1 to 31"},
	{"[forward:a]\n", "f:3: [forward:a] service is missing, or protocol and port"},
	{"[forward:a]\n", "f:3: [forward:a] to is missing"},
	{"[forward:a]\nport = 1\nto = 1.2.3.4\n", "f:3: [forward:a] protocol is missing"},
	{"[forward:a]\nprotocol = tcp\nto = 1.2.3.4\n", "f:3: [forward:a] port is missing"},
	{"[forward:a]\nprotocol = tcp\nport = 0\nto = 1.2.3.4\n", "f:5: port = 0: must be a port or FIRST-LAST"},
	{"[forward:a]\nprotocol = tcp\nport = 5-4\nto = 1.2.3.4\n",
	 "f:5: port = 5-4: the range runs backwards (did you mean 4-5?)"},
	{"[forward:a]\nprotocol = tcp\nport = 80, 443\nto = 1.2.3.4\n",
	 "f:5: port = 80, 443: must be one port or FIRST-LAST; write a section for each other port"},
	{"[forward:a]\nprotocol = tcp\nport = 80-0\nto = 1.2.3.4\n", "f:5: port = 80-0: must be a port or FIRST-LAST"},
	{"[forward:a]\nprotocol = all\nto = 1.2.3.4\n", "f:4: protocol = all: a section forwards one protocol"},
	{"[forward:a]\nprotocol = both\nport = 4\nto = 1.2.3.4\n", "(did you mean tcp+udp?)"},
	{"[forward:a]\nenabled = no\n", "f:4: unknown key enabled in section [forward:a]: a section holds as long as"},
	{"[forward:a]\nsource = 10.0.0.0/8\n", "section [forward:a]: a forward lets in every sender; "},
	{"[forward:a]\ncomment = x\n", "section [forward:a]: write it behind #"},
	{"[forward:a]\nprotocol = tpc\nport = 4\nto = 1.2.3.4\n", "(did you mean tcp?)"},
	{"[forward:a]\nprotocol = 0\nto = 1.2.3.4\n", "a number from 1 to 255"},
	{"[forward:a]\nprotocol = 256\nto = 1.2.3.4\n", "a number from 1 to 255"},
	{"[forward:a]\nprotocol = 51\nto = 1.2.3.4\n", "AH signs the addresses"},
	{"[forward:a]\nprotocol = gre\nport = 5\nto = 1.2.3.4\n", "this protocol has no ports"},
	{"[forward:a]\nprotocol = gre\nto = 1.2.3.4:5\n", "this protocol has no ports"},
	{"[forward:a]\nservice = pptp\nprotocol = tcp\nto = 1.2.3.4\n", "service replaces protocol and port"},
	{"[forward:a]\nservice = pptp\nto = 1.2.3.4:5\n", "a service keeps its own ports"},
	{"[forward:a]\nservice = pptp\nto = 127.0.0.1\n", "is not the address of a host"},
	{"[forward:a]\nservice = pptp\nto = 224.0.0.1\n", "is not the address of a host"},
	{"[forward:a]\nservice = pptp\nto = web\n", "must be the IPv4 address of an inside host"},
	{"[forward:a]\nprotocol = tcp\nport = 5\nto = 1.2.3.4:0\n", "has a bad port"},
	{"[forward:a]\nprotocol = tcp\nport = 5\nto = 1.2.3.4:\n", "has a bad port"},
	{"[forward:a]\nprotocol = tcp\nport = 1-10\nto = 1.2.3.4:65530\n", "goes beyond 65535"},
	{"[forward:a]\nprotocol = udp\nport = 60-70\nto = 1.2.3.4\n",
	 "UDP port 68 always belongs to the router itself, for DHCP; write two sections, with port = 60-67 and port = "
	 "69-70"},
	{"[forward:a]\nprotocol = udp\nport = 68-70\nto = 1.2.3.4\n", "for DHCP; write port = 69-70\n"},
	{"[forward:a]\nprotocol = udp\nport = 60-68\nto = 1.2.3.4\n", "for DHCP; write port = 60-67\n"},
	{"[forward:a]\nprotocol = udp\nport = 68\nto = 1.2.3.4\n", "for DHCP\n"},
	{"[forward:a]\nprotocol = tcp\nport = 20-30\nto = 1.2.3.4\n[wan]\nhost_ports = udp:20, 22\n",
	 "f:3: [forward:a] TCP port 22 belongs to the router itself by [wan] host_ports; write two sections, with port "
	 "= 20-21 and port = 23-30"},
	{"[forward:a]\nservice = ipsec\nto = 1.2.3.4\n[wan]\nhost_ports = udp:4500\n",
	 "UDP port 4500 belongs to the router"},
	{"[forward:a]\nprotocol = tcp\nport = 80-90\nto = 1.2.3.4\n[forward:b]\nprotocol = tcp+udp\nport = "
	 "70-80\nto = 1.2.3.4\n",
	 "f:7: [forward:b] and [forward:a] of line 3 both want TCP port 80\n"},
	{"[forward:a]\nservice = pptp\nto = 1.2.3.4\n[forward:b]\nprotocol = gre\nto = 1.2.3.4\n",
	 "f:6: [forward:b] and [forward:a] of line 3 both want IP protocol 47\n"},
	{"[forward:a]\nservice = l2tp\nto = 1.2.3.4\n[forward:b]\nservice = l2tp\nto = 1.2.3.5\n",
	 "both want UDP port 1701"},
	{"[forward:a]\nservice = l2tp\nto = 1.2.3.4\n[forward:a]\n",
	 "f:6: section [forward:a] occurs twice; the first is in line 3"},
	{"[forward:a]\nto = 1.2.3.4\nto = 1.2.3.5\n", "f:5: to is set here again; the first is in line 4"},
	{"[forward:a]\nprot = tcp\n", "f:4: unknown key prot in section [forward:a]"},
	{"[forward:a b]\nprot = tcp\n", "f:4: unknown key prot in section [forward:NAME]"},
	{"[forward:a]\nprotocl = tcp\n", "(did you mean protocol?)"},
};

static void refuses_forwards(void **state)
{
	char text[1024];

	for (size_t i = 0; i < sizeof(bad_forwards) / sizeof(bad_forwards[0]); i++) {
		snprintf(text, sizeof(text), LAN "%s", bad_forwards[i].text);
		fixture_expect_error(*state, text, bad_forwards[i].error);
	}
	/* A bad value is reported once, not once more as missing. */
	fixture_expect_report(*state, LAN "[forward:a]\nprotocol = tcp\nport = x\nto = 1.2.3.4\n",
			      "E f:5: port = x: must be a port or FIRST-LAST, from 1 to 65535\nE f: 1 error\n");
	/* Two services of one host that share nothing, and TCP beside UDP, are fine. */
	fixture_expect_good(*state, LAN
			    "[forward:a]\nservice = l2tp\nto = 1.2.3.4\n[forward:b]\nservice = ipsec\nto = 1.2.3.4\n"
			    "[forward:c]\nprotocol = tcp\nport = 1701\nto = 1.2.3.4\n");
	fixture_expect_report(*state, LAN "[forward:a]\nservice = l2tp\nto = 1.2.3.4\n[l2tp]\nmode = block\n",
			      "W f:3: warning: [forward:a] does nothing while [l2tp] mode = block\nN f: 1 warning\n");
}

/* Modes that take away more than they seem to: each is said once, with its line. */
static const struct {
	const char *text, *warning;
} warned_modes[] = {
	{"[ipsec]\nike = block\n", "W f:4: warning: [ipsec] ike = block: nearly all of IPsec starts with IKE on UDP "
				   "port 500 and will not work; to refuse IPsec, write mode = block\n"},
	{"[ipsec]\nmode = block\nesp = pass\n", "W f:4: warning: [ipsec] ike = block: "},
	{"[ipsec]\nnatt = block\n", "W f:4: warning: [ipsec] natt = block: behind a NAT, nearly every IPsec "
				    "client continues on UDP port 4500"},
	{"[ipsec]\nah = plain\n", "W f:4: warning: [ipsec] ah has no effect: AH cannot pass a NAT"},
	{"[ipsec]\nesp = plain\nesp_fanout = yes\n",
	 "W f:5: warning: [ipsec] esp_fanout does nothing unless ESP is in mode pass\n"},
	{"[limits]\ntunnels = 0\n", "W f:4: warning: [limits] tunnels = 0: PPTP, L2TP and IPsec get no help"},
	{"[ipsec]\nesp = block\n[forward:a]\nservice = ipsec\nto = 1.2.3.4\n",
	 "W f:5: warning: [forward:a] lets no ESP in while [ipsec] esp = block\n"},
	{"[forward:a]\nprotocol = udp\nport = 1701\nto = 1.2.3.4\n[l2tp]\nmode = block\n",
	 "W f:3: warning: [forward:a] does nothing while [l2tp] mode = block\n"},
	{"[forward:a]\nprotocol = esp\nto = 1.2.3.4\n[ipsec]\nesp = block\n",
	 "W f:3: warning: [forward:a] does nothing while [ipsec] esp = block\n"},
	{"[forward:a]\nservice = ipsec\nto = 1.2.3.4\n[ipsec]\nike = block\nnatt = block\nesp = block\n",
	 "W f:3: warning: [forward:a] does nothing while [ipsec] mode = block\n"},
	{"[forward:a]\nservice = l2tp\nto = 1.2.3.4\n[forward:b]\nservice = ipsec\nto = 1.2.3.4\n",
	 "W f:3: warning: [forward:a] lets in L2TP without encryption; L2TP in IPsec needs only [forward:b]\n"},
};

static void warns_of_modes(void **state)
{
	static const char *const silent[] = {
		"[ipsec]\nmode = block\n",
		"[ipsec]\nmode = plain\nesp = block\nah = block\n",
		"[forward:a]\nservice = l2tp\nto = 1.2.3.4\n[forward:b]\nservice = ipsec\nto = 1.2.3.5\n",
		"[ipsec]\nesp = block\n",
		"[ipsec]\nah = inherit\n",
		"[ipsec]\nah = block\n",
		"[ipsec]\nah = pass\n[nat]\nbypass = 10.9.0.0/16\n",
		"[ipsec]\nesp_fanout = yes\nike = plain\n",
		"[forward:a]\nprotocol = gre\nto = 1.2.3.4\n[pptp]\nmode = block\n",
		"[forward:a]\nprotocol = udp\nport = 1700-1701\nto = 1.2.3.4\n[l2tp]\nmode = block\n",
	};
	struct fixture *fixture = *state;
	char text[1024];

	for (size_t i = 0; i < sizeof(warned_modes) / sizeof(warned_modes[0]); i++) {
		snprintf(text, sizeof(text), LAN "%s", warned_modes[i].text);
		fixture_expect_good(fixture, text);
		if (strncmp(fixture->report.text, warned_modes[i].warning, strlen(warned_modes[i].warning)) ||
		    !strstr(fixture->report.text, "N f: 1 warning\n"))
			fail_msg("\n%s\ngave:\n%snot just: %s", text, fixture->report.text, warned_modes[i].warning);
	}
	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
		snprintf(text, sizeof(text), LAN "%s", silent[i]);
		fixture_expect_report(fixture, text, "");
	}
	/* A service of which two parts are blocked: the modes and what they do to the forward. */
	fixture_expect_report(
		fixture, LAN "[ipsec]\nmode = block\nike = pass\n[forward:a]\nservice = ipsec\nto = 1.2.3.4\n",
		"W f:4: warning: [ipsec] natt = block: behind a NAT, nearly every IPsec client continues on UDP port "
		"4500 and will get stuck; to refuse IPsec, write mode = block\n"
		"W f:6: warning: [forward:a] lets no NAT traversal on UDP port 4500, which most clients need, in while "
		"[ipsec] natt = block\n"
		"W f:6: warning: [forward:a] lets no ESP in while [ipsec] esp = block\n"
		"N f: 3 warnings\n");
}

/* What can be done, but takes from others what they need. */
static void warns_of_shortage(void **state)
{
	static const char *const silent[] = {
		"[limits]\nflows = 1000\nhost_flows = 1000\n",
		"[limits]\nflows = 1000\n",
		"[forward:a]\nprotocol = tcp\nport = 16384-64511\nto = 1.2.3.4\n",
		"[wan]\nhost_ports =\n[forward:a]\nprotocol = tcp+udp\nport = 1-67\nto = 1.2.3.4\n",
	};
	char text[256];

	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
		snprintf(text, sizeof(text), LAN "%s", silent[i]);
		fixture_expect_report(*state, text, "");
	}
	fixture_expect_report(
		*state, LAN "[limits]\nflows = 1000\nhost_flows = 1001\n",
		"W f:5: warning: [limits] host_flows = 1001 is more than flows = 1000: one inside host can "
		"take the place of all others; write a lower host_flows\nN f: 1 warning\n");
	fixture_expect_report(
		*state, LAN "[forward:a]\nprotocol = udp\nport = 16383-64511\nto = 1.2.3.4\n",
		"W f: warning: the forwards leave 16383 of 64512 UDP ports above 1023 to all other inside "
		"hosts and to the router itself; forward smaller ranges\nN f: 1 warning\n");
	fixture_expect_report(
		*state,
		LAN "[wan]\nhost_ports = tcp:16000\n[forward:a]\nprotocol = tcp\nport = 16384-64511\n"
		    "to = 1.2.3.4\n",
		"W f: warning: the forwards leave 16383 of 64512 TCP ports above 1023 to all other inside "
		"hosts and to the router itself; forward smaller ranges\nN f: 1 warning\n");
}

static void limits_forwards(void **state)
{
	struct fixture *fixture = *state;
	static char text[128 * 1024];
	size_t used = (size_t)snprintf(text, sizeof(text), LAN);

	for (int i = 0; i <= FORWARDS_MAX; i++) {
		if (i == FORWARDS_MAX)
			fixture_expect_good(fixture, text);
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "[forward:f%d]\nprotocol = tcp\nport = %d\nto = 10.0.0.1\n", i, i + 1000);
	}
	fixture_expect_error(fixture, text, "more than 256 [forward:NAME] sections");
	used = (size_t)snprintf(text, sizeof(text), LAN);
	for (int i = 0; i < FORWARDS_MAX - 1; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "[forward:f%d]\nprotocol = tcp\nport = %d\nto = 10.0.0.1\n", i, i + 2000);
	snprintf(text + used, sizeof(text) - used, "[forward:x]\nservice = pptp\nto = 10.0.0.1\n");
	fixture_expect_error(fixture, text, "more than 256 forwards");
}

static void limits_prefixes(void **state)
{
	char text[4096];
	size_t used = (size_t)snprintf(text, sizeof(text), LAN "[nat]\nbypass =\n");

	for (int i = 0; i <= PREFIXES_MAX; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " 10.0.%d.0/24\n", i);
	fixture_expect_error(*state, text, "f:69: bypass = 10.0.64.0/24: is one prefix too many; there may be 64");
}

static void survives_hostile_bytes(void **state)
{
	struct fixture *fixture = *state;
	static const char nul[] = LAN "tun = a\0b\n", nul_in_comment[] = LAN "# a\0b\n";
	static char big[1 << 20];
	const size_t line = sizeof(LAN) - 1;

	/* One line of a megabyte, as a value, a key, a section, a comment. */
	memset(big, 'y', sizeof(big));
	memcpy(big, LAN "x = ", line + 4);
	assert_false(fixture_parse_bytes(fixture, big, sizeof(big)));
	assert_non_null(strstr(fixture->report.text, "f:3: a line of 10485"));
	big[line] = '[';
	big[sizeof(big) - 1] = ']';
	assert_false(fixture_parse_bytes(fixture, big, sizeof(big)));
	big[line] = '#';
	assert_true(fixture_parse_bytes(fixture, big, sizeof(big)));
	memset(big, '\n', sizeof(big));
	assert_false(fixture_parse_bytes(fixture, big, sizeof(big)));
	assert_string_equal(
		fixture->report.text,
		"E f: the LAN device is missing: write interface = DEVICE in section [lan], or give --lan DEVICE\n"
		"E f: 1 error\n");

	assert_false(fixture_parse_bytes(fixture, nul, sizeof(nul) - 1));
	assert_non_null(strstr(fixture->report.text, "f:3: byte 0x00 in column 8; a text file has no NUL bytes"));
	assert_false(fixture_parse_bytes(fixture, nul_in_comment, sizeof(nul_in_comment) - 1));
	fixture_expect_error(fixture, LAN "tun = a\x1b[31m\n", "f:3: byte 0x1b in column 8");
	fixture_expect_error(fixture, LAN "tun = caf\xc3\xa9\n", "f:3: byte 0xc3 in column 10");
	fixture_expect_error(fixture, LAN "tun = a\rb\n", "f:3: byte 0x0d in column 8");
	/* A section that cannot be read must not lend its keys to the one above. */
	fixture_expect_report(
		fixture, LAN "[caf\xc3\xa9]\ntun = x\n",
		"E f:3: byte 0xc3 in column 5; outside comments only plain ASCII text is allowed\nE f: 1 error\n");
	fixture_expect_error(fixture, LAN "[lan%s%n]\n", "f:3: unknown section [lan%s%n]");
	fixture_expect_error(fixture, LAN "tun = %s%n\n", "f:3: tun = %s%n: cannot");
}

/* A line of exactly the length that can be read, and one more. */
static void limits_lines(void **state)
{
	static char junk[CONFIG_FILE_MAX];
	struct fixture *fixture = *state;
	char text[512];
	size_t used;

	for (size_t length = 195; length <= 205; length++) {
		used = (size_t)snprintf(text, sizeof(text), LAN "[nat]\n");
		used += (size_t)snprintf(text + used, sizeof(text) - used, "bypass =%*s%s", (int)(length - 8 - 7), "",
					 "1.2.3.4");
		snprintf(text + used, sizeof(text) - used, " # and a comment that does not count\nicmp_rate = 7\n");
		if (length <= 199) {
			fixture_expect_good(fixture, text);
			assert_int_equal(fixture->config.bypasses, 1);
			assert_int_equal(fixture->config.bypass[0].address.v4, 0x01020304);
		} else {
			fixture_expect_error(fixture, text, "at most 199 are read");
		}
		assert_int_equal(fixture->config.icmp_rate, 7);
	}
	/* A large file that is something else must not keep packets waiting. */
	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = i % 2 ? '\n' : 'x';
	assert_false(fixture_parse_bytes(fixture, junk, sizeof(junk)));
	assert_non_null(strstr(fixture->report.text, "E f:50: there is no '=' in 'x'; write KEY = VALUE\n"
						     "W f:51: warning: the rest is not read, after so many errors\n"
						     "E f: 50 errors, 1 warning\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		config_test(reports_everything), config_test(refuses_values),         config_test(refuses_forwards),
		config_test(warns_of_modes),     config_test(warns_of_shortage),      config_test(limits_forwards),
		config_test(limits_prefixes),    config_test(survives_hostile_bytes), config_test(limits_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
