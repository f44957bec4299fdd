/*
 * The calls that a program makes of the emulated driver and of the provider over it, one a line in
 * the file that KIF_EMULATOR_CALLS names: so that a test can read what waited for what.
 */
#pragma once
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

__attribute__((format(printf, 1, 2))) inline void log_call(const char *format, ...) {
  const char *file = std::getenv("KIF_EMULATOR_CALLS");
  if (file == nullptr) {
    return;
  }
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  int length = std::vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  line[length < static_cast<int>(sizeof line) - 1 ? length : sizeof line - 2] = '\n';
  /* One write to the end of the file: libraries share it. */
  if (FILE *out = std::fopen(file, "a")) {
    std::fwrite(line, 1, length + 1, out);
    std::fclose(out);
  }
}
