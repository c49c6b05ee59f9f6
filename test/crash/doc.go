// Package crash ends the real binary in every way a machine can: kill -9 in mid-work, a signal, a damaged file, a full
// disk, a folder that is gone. After each it looks whether everything that was promised is still true. Its tests are
// bounded to two minutes and a half on two cores; AIRFIELD_LONG makes two of them several times as large.
package crash
