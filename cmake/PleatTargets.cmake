# SPDX-License-Identifier: MIT OR Apache-2.0
# The flags that every target of ours gets, and the two functions that make targets.

function(pleat_flags target)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
    -fno-strict-aliasing -fvisibility=hidden)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # g++-12 warns of overlapping copies inside std::string's own operator+ (GCC bug 105651).
    target_compile_options(${target} PRIVATE -Wno-restrict)
    if(CMAKE_UNITY_BUILD)
      # A type of a source file is one of an included file there.
      target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
    endif()
  endif()
  if(PLEAT_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(PLEAT_SANITIZE)
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
      # g++-12 warns of members of std::function that instrumented code seems not to set.
      target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
    endif()
    target_compile_options(${target} PRIVATE -fsanitize=${PLEAT_SANITIZE} -fno-omit-frame-pointer
                           -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${PLEAT_SANITIZE})
    get_target_property(folder ${target} SOURCE_DIR)
    if(folder MATCHES "/(codec|gpu)$")
      # The presets compile for the shortest build; here the tests take longer than the compiler.
      target_compile_options(${target} PRIVATE -O1)
    endif()
  endif()
  if(PLEAT_COVERAGE)
    target_compile_options(${target} PRIVATE --coverage -fprofile-update=atomic)
    target_link_options(${target} PRIVATE --coverage)
  endif()
endfunction()

# One static library for the folder it is called in: pleat_library(store SOURCES ... LINKS ...).
# LINKS is that folder's line in the dependency graph; tests/layout checks the includes against it.
function(pleat_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS;LIBRARIES" ${ARGN})
  add_library(pleat_${name} STATIC ${arg_SOURCES})
  pleat_flags(pleat_${name})
  foreach(link ${arg_LINKS})
    target_link_libraries(pleat_${name} PUBLIC pleat_${link})
  endforeach()
  target_link_libraries(pleat_${name} PUBLIC ${arg_LIBRARIES})
endfunction()

# What the tests of a configuration need, and nothing else.
add_custom_target(pleat_tests)

# For code that only tests: the compiler takes longer for it than it runs, but where it runs over every
# page of a codec or all operations of the store.
function(pleat_test_flags target)
  pleat_flags(${target})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  if(PLEAT_SANITIZE OR CMAKE_CROSSCOMPILING)
    target_compile_definitions(${target} PRIVATE PLEAT_SLOW_BUILD)  # see tests/repetitions.h
  endif()
  if(CMAKE_BUILD_TYPE STREQUAL Release)
    get_target_property(folder ${target} SOURCE_DIR)
    if(folder MATCHES "/(codec|gpu|store|fuzz)$")
      target_compile_options(${target} PRIVATE -O1)
    else()
      target_compile_options(${target} PRIVATE -O0)
    endif()
  endif()
endfunction()

# For a test of a configuration that ./test builds within its CTest run: the build comes first.
function(pleat_built_first test)
  if(PLEAT_TEST_PREFIX)
    set_property(TEST ${PLEAT_TEST_PREFIX}${test} APPEND PROPERTY FIXTURES_REQUIRED ${PLEAT_TEST_PREFIX}build)
  endif()
endfunction()

# One GoogleTest program whose cases CTest runs one by one:
# pleat_test(store_test SOURCES ... LINKS store [LIBRARIES ...] [LABELS ...] [TIMEOUT seconds] [LOCK name]).
# LOCK: it uses something that the machine has once, and runs beside no other test of that lock.
function(pleat_test name)
  cmake_parse_arguments(arg "" "TIMEOUT;LOCK" "SOURCES;LINKS;LIBRARIES;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 400)
  endif()
  add_executable(${name} ${arg_SOURCES})
  pleat_test_flags(${name})
  add_dependencies(pleat_tests ${name})
  foreach(link ${arg_LINKS})
    target_link_libraries(${name} PRIVATE pleat_${link})
  endforeach()
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE PLEAT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  # One CTest entry a program: a process start for each of a thousand cases costs more than the cases.
  add_test(NAME ${PLEAT_TEST_PREFIX}${name} COMMAND ${name} --gtest_brief=1)
  set_tests_properties(${PLEAT_TEST_PREFIX}${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "unit;${arg_LABELS}"
                       SKIP_RETURN_CODE 77)
  pleat_built_first(${name})
  if(arg_LOCK)
    set_tests_properties(${PLEAT_TEST_PREFIX}${name} PROPERTIES RESOURCE_LOCK ${arg_LOCK})
  endif()
endfunction()

function(pleat_subdirectories)
  foreach(folder ${ARGN})
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt)
      add_subdirectory(${folder})
    endif()
  endforeach()
endfunction()
