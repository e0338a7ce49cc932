// Steps of one upload on its strand; each is told to the I/O thread.
#include "upload.h"

#include <boost/asio/post.hpp>

#include <utility>

#include "connection.h"
#include "freehold/server/errors.h"

namespace freehold::server {

Upload::Upload(std::shared_ptr<Core> core, std::weak_ptr<Connection> connection, const Route& route, RequestPtr request)
    : core_(std::move(core)),
      connection_(std::move(connection)),
      route_(route),
      request_(std::move(request)),
      strand_(std::make_shared<Strand>(*core_->disk)) {}

void Upload::step(std::function<void(Upload&)> work) {
    busy_ = true;
    strand_->post([self = shared_from_this(), work = std::move(work)] {
        if (!self->fault_) {
            try {
                work(*self);
            } catch (...) {
                self->fault_ = std::current_exception();
                self->sink_.reset();
            }
        }
        // Weak: what is posted to a server that has stopped stays there, and would hold it.
        boost::asio::post(self->core_->io, [weak = self->weak_from_this(), fault = self->fault_] {
            const auto upload = weak.lock();
            if (!upload) return;
            upload->busy_ = false;
            upload->opened_ = true;
            if (const auto connection = upload->connection_.lock()) connection->upload_went_on(*upload, fault);
        });
    });
}

void Upload::open(std::optional<std::uint64_t> length) {
    step([length](Upload& self) { self.sink_ = self.route_.sink(self.request_, length); });
}

void Upload::take(std::string piece) {
    step([piece = std::move(piece)](Upload& self) { self.sink_->take(piece); });
}

void Upload::finish(ResponderPtr responder) {
    strand_->post([self = shared_from_this(), responder = std::move(responder)] {
        std::exception_ptr fault = self->fault_;
        try {
            if (!fault) self->sink_->done(*responder);
        } catch (...) {
            fault = std::current_exception();
        }
        // What it leaves behind is gone before the client hears of it.
        self->sink_.reset();
        if (fault) send_error(*responder, fault, self->route_.error);
    });
}

void Upload::drop() {
    strand_->post([self = shared_from_this()] { self->sink_.reset(); });
}

}  // namespace freehold::server
