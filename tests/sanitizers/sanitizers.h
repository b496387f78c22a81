#pragma once
// Whether a sanitizer is in this program: gcc says so by macros, Clang by features.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LORAGRAD_ADDRESS_SANITIZER 1
#elif __has_feature(thread_sanitizer)
#define LORAGRAD_THREAD_SANITIZER 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define LORAGRAD_ADDRESS_SANITIZER 1
#elif defined(__SANITIZE_THREAD__)
#define LORAGRAD_THREAD_SANITIZER 1
#endif

namespace loragrad::test {

#if defined(LORAGRAD_ADDRESS_SANITIZER) || defined(LORAGRAD_THREAD_SANITIZER)
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif

}  // namespace loragrad::test
