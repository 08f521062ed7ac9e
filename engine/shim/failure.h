// How the functions of the shim answer: null, or why they failed, in memory that the caller frees.

#pragma once

#include <cstring>
#include <exception>

template <typename Work> char *failure(Work work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception &error) {
    return strdup(error.what());
  }
}
