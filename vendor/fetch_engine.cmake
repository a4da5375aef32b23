# Brings the engine's source to vendor/stable-diffusion.cpp, once, by the hash in vendor/requirements.txt.
#
#   sdcpp_fetch_engine(<variable>)   sets <variable> to the folder of the engine's source

function(sdcpp_fetch_engine result)
    if(SDCPP_SOURCE_DIR)
        if(NOT EXISTS "${SDCPP_SOURCE_DIR}/include/stable-diffusion.h")
            message(FATAL_ERROR "SDCPP_SOURCE_DIR=${SDCPP_SOURCE_DIR} holds no include/stable-diffusion.h")
        endif()
        message(STATUS "engine: using the checkout in ${SDCPP_SOURCE_DIR}")
        set(${result} "${SDCPP_SOURCE_DIR}" PARENT_SCOPE)
        return()
    endif()

    set(vendor "${CMAKE_CURRENT_FUNCTION_LIST_DIR}")
    set(engine "${vendor}/stable-diffusion.cpp")
    if(EXISTS "${engine}/include/stable-diffusion.h")
        message(STATUS "engine: using the source in vendor/stable-diffusion.cpp")
        set(${result} "${engine}" PARENT_SCOPE)
        return()
    endif()

    message(STATUS "engine: not in vendor/ yet, downloading the pinned source distribution")
    set(download "${vendor}/download")
    # Only the engine itself must be a source distribution: ":all:" would also compile what its metadata is read with.
    execute_process(
        COMMAND "${Python_EXECUTABLE}" -m pip download --quiet --disable-pip-version-check --no-deps
                --no-binary stable-diffusion-cpp-python --require-hashes
                --dest "${download}" --requirement "${vendor}/requirements.txt"
        RESULT_VARIABLE failed
        ERROR_VARIABLE reason)
    if(failed)
        message(FATAL_ERROR "engine: the download of vendor/requirements.txt failed:\n${reason}")
    endif()

    file(GLOB archives "${download}/*.tar.gz")
    list(GET archives 0 archive)
    file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${download}/unpacked" PATTERNS "*/vendor/stable-diffusion.cpp/*")
    file(GLOB unpacked "${download}/unpacked/*/vendor/stable-diffusion.cpp")
    # A rename is atomic: an interrupted build never leaves half an engine behind that the next one would take for whole.
    file(RENAME "${unpacked}" "${engine}")
    file(REMOVE_RECURSE "${download}")
    message(STATUS "engine: unpacked to vendor/stable-diffusion.cpp")
    set(${result} "${engine}" PARENT_SCOPE)
endfunction()
