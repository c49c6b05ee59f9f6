// Package fault runs the real binary between providers that misbehave and clients that do: what each gets, what the log
// says of it, who is told, and that nothing is left behind. Its soak takes minutes, and runs where AIRFIELD_LONG is set.
package fault
